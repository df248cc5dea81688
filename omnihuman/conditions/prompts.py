"""Prompts as Wan2.1's text encoder was trained to read them."""

import html
import re

import ftfy


def clean_prompt(prompt: str) -> str:
    """Mended and folded: `Tom &amp;amp; Ana\\n talk` becomes `Tom & Ana talk`.

    As Wan2.1's `whitespace_clean(basic_clean(...))`, which diffusers' `WanPipeline` does too: letters that were decoded wrongly are
    mended by ftfy, HTML is unescaped twice (captions of the web are often escaped twice), white space becomes one space.
    """
    mended = html.unescape(html.unescape(ftfy.fix_text(prompt)))
    return re.sub(r"\s+", " ", mended.strip()).strip()
