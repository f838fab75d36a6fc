"""One login and one tool call with the FastMCP client, which opens the browser and listens by itself."""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.auth import OAuth


async def main(url: str) -> None:
    auth = OAuth(mcp_url=url, client_name="FastMCP client", callback_timeout=60)
    async with Client(url, auth=auth) as client:
        tools = await client.list_tools()
        result = await client.call_tool("get_weather", {"city": "Oslo"})
        print(json.dumps({"tools": [tool.name for tool in tools], "weather": result.data}), flush=True)


asyncio.run(main(*sys.argv[1:]))
