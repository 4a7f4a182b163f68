#!/usr/bin/env bash
# ./run.sh             set up and open the studio on http://localhost:7860
# ./run.sh test        set up, with the test tools, and run the tests (arguments go to pytest)
# ./run.sh setup       set up, and nothing else
# ./run.sh COMMAND ... set up and run the command line: ./run.sh analyze clip.mp3
# TORCH_INDEX          where pip takes PyTorch from, such as its publisher's index of wheels without CUDA
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="${EMOSCOPE_VENV:-$root/.venv}"

fail() { echo "run.sh: $*" >&2; exit 1; }

find_python() {
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null &&
      { echo "$candidate"; return; }
  done
  fail "Python 3.11 or 3.12 is needed, and none was found. Install it, or set PYTHON to its path."
}

hash_of() { cat "$@" | (sha256sum 2>/dev/null || shasum -a 256); }

# Install what a list of requirements names, unless this very content is installed already.
install() {
  local stamp="$venv/.installed-$1" files=("$root/requirements.txt" "$root/constraints.txt")
  local app; app=$(hash_of "${files[@]}")
  [ "$1" = test ] && files+=("$root"/requirements-{test,ray,onnx,mcp}.txt)
  local hash; hash=$(hash_of "${files[@]}")
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$hash" ] && return
  [ -x "$venv/bin/python" ] || "$(find_python)" -m venv "$venv" ||
    fail "the virtual environment could not be made in $venv. On Debian and Ubuntu install python3-venv."
  echo "Installing what Emoscope needs into $venv (some minutes, once) ..." >&2
  local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt")
  local advice="its message is above. Check the network, then run ./run.sh again."
  [ -z "${TORCH_INDEX:-}" ] || "${pip[@]}" --no-deps --index-url "$TORCH_INDEX" torch >&2 ||
    fail "pip could not install PyTorch from $TORCH_INDEX; $advice"
  local arguments=(-r "$root/requirements.txt")
  [ "$1" = test ] && for extra in test ray onnx mcp; do arguments+=(-r "$root/requirements-$extra.txt"); done
  "${pip[@]}" "${arguments[@]}" >&2 || fail "pip could not install the packages; $advice"
  echo "$app" > "$venv/.installed-app"  # whoever has the test tools has the rest, too
  echo "$hash" > "$stamp"
}

command="${1:-}"
case "$command" in
  test)
    shift
    install test
    cd "$root"
    exec "$venv/bin/python" -m pytest "$@" ;;
  setup)
    install app ;;
  "")
    install app
    cd "$root"
    exec "$venv/bin/python" app.py ;;
  *)
    install app
    PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "$venv/bin/python" -m emoscope.cli "$@" ;;
esac
