"""Pages asked for as a browser does, and what a reader sees of them."""

import asyncio
import html
import re


def ask(site, method, address, user="ada", **form):
    async def send():
        async with site.browser(user) as browser:
            return await browser.request(method, address, **form)

    return asyncio.run(send())


def get(site, address):
    return ask(site, "GET", address)


def words(answer):
    """What a reader sees of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
