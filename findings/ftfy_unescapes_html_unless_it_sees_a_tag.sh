#!/usr/bin/env bash
# ftfy unescapes HTML too, but only in text without "<": so "clean a prompt" unescapes three times or two, by what else is in it.
#
# ftfy 6.3.1, Python 3.11. Wan2.1 and diffusers' WanPipeline clean prompts by ftfy.fix_text, then html.unescape twice. diffusers skips ftfy
# where it is not installed, which is no dependency of it, and says nothing: the same prompt is then other tokens on another machine.
#
#   'Q&amp;amp;amp;A'       with ftfy 'Q&A'        without 'Q&amp;A'
#   'Q&amp;amp;amp;A <3'    with ftfy 'Q&amp;A <3' without 'Q&amp;A <3'
#   'the cafÃ©'             with ftfy 'the café'   without 'the cafÃ©'
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --no-compile ftfy==6.3.1
"$place/venv/bin/python" - <<'PY'
import html

import ftfy


def cleaned(text):
    return html.unescape(html.unescape(text)).strip()


expected = {
    "Q&amp;amp;amp;A": ("Q&A", "Q&amp;A"),
    "Q&amp;amp;amp;A <3": ("Q&amp;A <3", "Q&amp;A <3"),
    "the cafÃ©": ("the café", "the cafÃ©"),
}
for text, wanted in expected.items():
    seen = cleaned(ftfy.fix_text(text)), cleaned(text)
    print(repr(text), "with ftfy", repr(seen[0]), "without", repr(seen[1]))
    assert seen == wanted, wanted
PY
