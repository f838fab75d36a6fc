"""One login and one tool call with the Python SDK 1. Says where the browser must go, reads what came back."""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.auth import OAuthClientMetadata


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


async def show(url: str) -> None:
    print(json.dumps({"authorize": url}), flush=True)


async def hear() -> tuple[str, str | None]:
    answer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    return answer["code"], answer.get("state")


async def main(url: str, redirect: str) -> None:
    memory = Memory()
    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(client_name="Python SDK 1", redirect_uris=[redirect]),
        storage=memory,
        redirect_handler=show,
        callback_handler=hear,
    )
    async with streamablehttp_client(url, auth=auth) as (read, write, _):
        async with ClientSession(read, write) as session:
            opened = await session.initialize()
            tools = await session.list_tools()
            result = await session.call_tool("get_weather", {"city": "Oslo"})
            print(json.dumps({
                "version": str(opened.protocolVersion),
                "tools": [tool.name for tool in tools.tools],
                "weather": json.loads(result.content[0].text),
                "auth_method": memory.client.token_endpoint_auth_method,
                "refreshable": memory.tokens.refresh_token is not None,
            }), flush=True)


asyncio.run(main(*sys.argv[1:]))
