"""A Python client that does what the lines on its standard input say, one JSON object each.

Lines in: {"call": tool, "arguments": {...}}, {"answer": {...}} for the way back from a browser,
{"end": true}. Lines out: {"authorize": url}, {"result": ..., "tokens": ...}, {"error": ...}.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager


class Memory:
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


def say(line: dict) -> None:
    print(json.dumps(line), flush=True)


async def hear() -> dict:
    return json.loads(await asyncio.to_thread(sys.stdin.readline))


async def show(url: str) -> None:
    say({"authorize": url})


@asynccontextmanager
async def sdk_1(url: str, redirect: str, memory: Memory, _mode: str):
    from mcp import ClientSession
    from mcp.client.auth import OAuthClientProvider
    from mcp.client.streamable_http import streamablehttp_client
    from mcp.shared.auth import OAuthClientMetadata

    async def back():
        answer = (await hear())["answer"]
        return answer["code"], answer.get("state")

    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(client_name="Python SDK 1", redirect_uris=[redirect]),
        storage=memory,
        redirect_handler=show,
        callback_handler=back,
    )
    async with streamablehttp_client(url, auth=auth) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            yield session.call_tool


@asynccontextmanager
async def sdk_2(url: str, redirect: str, memory: Memory, mode: str):
    from mcp import Client
    from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client
    from mcp.shared.auth import OAuthClientMetadata

    async def back():
        answer = (await hear())["answer"]
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(client_name="Python SDK 2", redirect_uris=[redirect]),
        storage=memory,
        redirect_handler=show,
        callback_handler=back,
    )
    async with create_mcp_http_client(auth=auth) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            yield client.call_tool


@asynccontextmanager
async def fastmcp(url: str, _redirect: str, memory: Memory, _mode: str):
    from fastmcp import Client
    from fastmcp.client.auth import OAuth

    # It opens the browser and listens for the way back by itself.
    auth = OAuth(mcp_url=url, client_name="FastMCP client", callback_timeout=60)
    async with Client(url, auth=auth) as client:

        async def call(name: str, arguments: dict):
            result = await client.call_tool_mcp(name, arguments)
            memory.tokens = await auth.context.storage.get_tokens()
            memory.client = await auth.context.storage.get_client_info()
            return result

        yield call


KINDS = {"sdk_1": sdk_1, "sdk_2": sdk_2, "fastmcp": fastmcp}


async def main(kind: str, url: str, redirect: str, mode: str) -> None:
    memory = Memory()
    async with KINDS[kind](url, redirect, memory, mode) as call:
        say({"ready": True})
        while not (line := await hear()).get("end"):
            try:
                result = await call(line["call"], line["arguments"])
                tokens = memory.tokens
                say({
                    "result": json.loads(result.content[0].text),
                    "tokens": {
                        "access": tokens.access_token,
                        "refresh": tokens.refresh_token,
                        "scope": tokens.scope,
                        "client": memory.client.client_id,
                    },
                })
            except Exception as error:
                say({"error": f"{type(error).__name__}: {error}"})


asyncio.run(main(*sys.argv[1:]))
