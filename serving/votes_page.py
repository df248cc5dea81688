"""The page on which people compare two videos: one file, nothing loaded from elsewhere, no name of a system in it."""

import html

from evaluation.people.preference import LEFT, NONE, QUESTIONS, RIGHT

STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 62rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.3rem; } #pair { display: flex; gap: 1.5rem; align-items: flex-end; flex-wrap: wrap; }
figure { margin: 0; } figcaption { color: #666; font-size: 14px; } video { min-width: 256px; min-height: 256px; background: #000; display: block; }
#reference { width: 160px; image-rendering: pixelated; } fieldset { border: 0; border-bottom: 1px solid #eee; padding: .45rem 0; }
legend { float: left; width: 27rem; max-width: 100%; } label { margin-right: 1.2rem; } button { font: inherit; padding: .4rem 1.2rem; margin: .8rem .6rem 0 0; }
#say { color: #b00020; min-height: 1.4em; } #caption { color: #444; }
"""

SCRIPT = """
const at = (id) => document.getElementById(id);
let token = null;
let voter = localStorage.getItem("voter");
if (!/^[0-9a-f]{16,32}$/.test(voter || "")) {
  voter = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
  localStorage.setItem("voter", voter);
}
const videos = () => [at("left"), at("right")];
function play() { for (const v of videos()) { v.currentTime = 0; v.muted = v.id === "right"; v.play(); } }
async function load() {
  const answer = await fetch(`pair?voter=${voter}`);
  if (!answer.ok) { at("say").textContent = (await answer.json()).detail; return; }
  const pair = await answer.json();
  at("progress").textContent = `${pair.judged} of ${pair.pairs} judged`;
  token = pair.token;
  at("form").hidden = at("pair").hidden = token === null;
  at("say").textContent = token === null ? "All pairs are judged. Thank you." : "";
  if (token === null) return;
  at("caption").textContent = pair.caption;
  at("reference").src = `pairs/${token}/reference.png`;
  for (const side of ["left", "right"]) at(side).src = `pairs/${token}/${side}.mp4`;
  at("form").reset();
}
at("play").addEventListener("click", play);
at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answers = Object.fromEntries(new FormData(at("form")));
  const answer = await fetch("votes", {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({token, voter, answers}),
  });
  if (answer.ok) load(); else at("say").textContent = (await answer.json()).detail;
});
load();
"""


def votes_page() -> str:
    """The whole page."""
    asked = "\n".join(_question(name, text) for name, text in QUESTIONS.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Which is better?</title>\n'
        f"<style>{STYLE}</style></head><body>\n<h1>Which is better?</h1>\n"
        "<p>Two videos of the same person and sound, in random order. The sound of the left one is heard; both were given the same. "
        'Answer each question; “cannot say” is an answer. <span id="progress"></span></p>\n'
        '<div id="pair"><figure><img id="reference" alt="reference"><figcaption>reference</figcaption></figure>\n'
        '<figure><video id="left" loop controls playsinline></video><figcaption>left</figcaption></figure>\n'
        '<figure><video id="right" loop controls playsinline></video><figcaption>right</figcaption></figure></div>\n'
        '<p id="caption"></p>\n'
        f'<form id="form">{asked}\n<button type="button" id="play">Play both</button><button id="send">Next pair</button></form>\n'
        f'<p id="say" role="status"></p>\n<script>{SCRIPT}</script></body></html>\n'
    )


def _question(name: str, text: str) -> str:
    sides = ((LEFT, "left"), (RIGHT, "right"), (NONE, "cannot say"))
    choices = "".join(
        f'<label><input type="radio" name="{name}" value="{side}" required> {label}</label>' for side, label in sides
    )
    return f"<fieldset><legend>{html.escape(text)}</legend>{choices}</fieldset>"
