// The microphone, and the way to the server: no sample is forgotten before the server has said that it has it.

const find = (selector) => element.querySelector(selector);
const { say, fill, language, sign, clock } = window.emoscope;
const emotions = props.emotions;
const LEAST = 0.2; // seconds of sound that are worth a request
const MOST = 15; // seconds in one request, where the network was away for a while
const AGAIN = 1000; // ms until a request that failed is made once more
const EASE = 0.15; // seconds that the browser may be late with the sound; a busy machine loses what comes later
const PLAIN = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

const address = (path) => new URL("live" + path, document.baseURI);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** What the server refuses for good; its message is a sentence for the person. */
class Refused extends Error {}

class Microphone {
  taken = 0; // samples that the microphone has given
  #waiting = []; // pieces that the server may not have
  #count = 0; // samples in them
  #first = 0; // number of the first
  #sending = null; // the promise of what is being sent
  #last = false; // the microphone is off

  /** `heard(piece)` is told of every piece, `answered(answer)` what the server says, `away(yes)` whether it is gone. */
  constructor(tell) {
    this.tell = tell;
  }

  get seconds() {
    return this.rate ? this.taken / this.rate : 0;
  }

  async open() {
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
    this.context = new AudioContext({ latencyHint: EASE });
    this.rate = this.context.sampleRate;
    await this.context.audioWorklet.addModule(address("/recorder.js"));
    this.token = (await this.#ask("?rate=" + this.rate)).token;
    this.node = new AudioWorkletNode(this.context, "recorder");
    this.node.port.onmessage = ({ data }) => (data ? this.#take(data) : this.#off());
    this.context.createMediaStreamSource(this.stream).connect(this.node).connect(this.context.destination); // it is silent
    for (const track of this.stream.getTracks()) track.addEventListener("ended", () => this.tell.ended());
    await this.context.resume();
  }

  /** Switch the microphone off, and return when the server has all of it. */
  async stop() {
    const off = new Promise((resolve) => (this.#off = resolve));
    this.node.port.postMessage("stop");
    await Promise.race([off, pause(AGAIN)]); // a context that the system has suspended never answers
    this.#release();
    this.#last = true;
    await this.#sending;
    await this.#send();
  }

  /** Switch off, and let the server forget it all. */
  leave() {
    this.#release();
    this.#last = true;
    this.#waiting = [];
    this.#count = 0;
    if (this.token) navigator.sendBeacon(address("/" + this.token + "/leave"));
    this.token = null;
  }

  #off = () => {};

  #release() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.context && this.context.state !== "closed") this.context.close();
  }

  #take(piece) {
    this.taken += piece.length;
    this.#count += piece.length;
    this.#waiting.push(piece);
    this.tell.heard(piece);
    if (this.#count >= LEAST * this.rate) this.#send();
  }

  #send() {
    const over = () => (this.#sending = null);
    this.#sending ??= this.#sendAll().catch((error) => this.#giveUp(error)).finally(over);
    return this.#sending;
  }

  #giveUp(error) {
    if (!(error instanceof Refused)) throw error;
    this.tell.refused(error.message);
  }

  async #sendAll() {
    while (this.#count && this.token && (this.#last || this.#count >= LEAST * this.rate)) {
      try {
        const answer = await this.#ask(`/${this.token}?first=${this.#first}&since=${this.tell.since()}`, this.#body());
        this.#forget(answer.received - this.#first);
        this.tell.away(false);
        if (this.token) this.tell.answered(answer);
      } catch (error) {
        if (error instanceof Refused) throw error;
        this.tell.away(true);
        await pause(AGAIN);
      }
    }
  }

  #body() {
    const body = new Int16Array(Math.min(this.#count, MOST * this.rate));
    let used = 0;
    for (const piece of this.#waiting) {
      if (used === body.length) break;
      const part = piece.subarray(0, body.length - used);
      body.set(part, used);
      used += part.length;
    }
    return body;
  }

  #forget(count) {
    this.#first += count;
    this.#count -= count;
    while (count > 0 && this.#waiting.length) {
      const [piece] = this.#waiting;
      if (piece.length > count) this.#waiting[0] = piece.subarray(count);
      else this.#waiting.shift();
      count -= piece.length;
    }
  }

  /** Return the server's answer; throws Refused when asking again would not help. */
  async #ask(path, body) {
    const headers = { "content-type": "application/octet-stream" };
    const response = await fetch(address(path), { method: "POST", headers, body });
    if (response.ok) return response.json();
    const { detail } = await response.json().catch(() => ({}));
    if (response.status >= 500 && body) throw new Error("status " + response.status);
    throw new Refused(typeof detail === "string" ? detail : say("live.refused"));
  }
}
