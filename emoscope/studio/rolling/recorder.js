// Runs in the browser's audio thread: hands over what the microphone hears as mono pieces of 16-bit samples.
// Any message to it asks for the last piece; `null` says that it was the last.
const PIECE = 1024; // samples, 21 ms at 48 kHz

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.begin();
    this.over = false;
    this.port.onmessage = () => {
      this.hand();
      this.over = true;
      this.port.postMessage(null);
    };
  }

  begin() {
    this.piece = new Int16Array(PIECE);
    this.used = 0;
  }

  hand() {
    const piece = this.piece.slice(0, this.used);
    if (piece.length) this.port.postMessage(piece, [piece.buffer]);
    this.begin();
  }

  process([channels]) {
    if (this.over) return false;
    const count = channels.length ? channels[0].length : 0;
    for (let at = 0; at < count; at++) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      this.piece[this.used++] = Math.max(-32768, Math.min(32767, Math.round((32768 * sum) / channels.length)));
      if (this.used === PIECE) this.hand();
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
