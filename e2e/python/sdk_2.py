"""One login and one tool call with the Python SDK 2. Says where the browser must go, reads what came back."""

import asyncio
import json
import sys

from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
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


async def hear() -> AuthorizationCodeResult:
    answer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


async def main(url: str, redirect: str, mode: str) -> None:
    memory = Memory()
    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(client_name="Python SDK 2", redirect_uris=[redirect]),
        storage=memory,
        redirect_handler=show,
        callback_handler=hear,
    )
    async with create_mcp_http_client(auth=auth) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            tools = await client.list_tools()
            result = await client.call_tool("get_weather", {"city": "Oslo"})
            print(json.dumps({
                "version": str(client.session.protocol_version),
                "tools": [tool.name for tool in tools.tools],
                "weather": json.loads(result.content[0].text),
                "auth_method": memory.client.token_endpoint_auth_method,
                "refreshable": memory.tokens.refresh_token is not None,
            }), flush=True)


asyncio.run(main(*sys.argv[1:]))
