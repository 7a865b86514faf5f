"""The script that people write first: requests in asyncio.to_thread's default pool, one JSON array out.

usage: peers.py FILE-OF-URLS > vector.json
"""

import asyncio
import json
import sys

import requests


def fetch(url):
    try:
        response = requests.get(url, headers={"Authorization": "Bearer sample-token"}, timeout=10)
        response.raise_for_status()
        return response.json()
    except (requests.RequestException, ValueError):
        return None


async def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        urls = file.read().split()
    vector = await asyncio.gather(*(asyncio.to_thread(fetch, url) for url in urls))
    json.dump(vector, sys.stdout)


asyncio.run(main())
