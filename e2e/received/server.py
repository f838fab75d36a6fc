"""An MCP server that tells what it received: its tool answers with the headers of its own call."""

import argparse

from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token, get_http_headers


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--issuer", help="believe only assertions of this gateway")
    arguments = parser.parse_args()
    auth = None
    if arguments.issuer:
        auth = JWTVerifier(
            jwks_uri=f"{arguments.issuer}/jwks.json",
            issuer=arguments.issuer,
            audience=f"http://127.0.0.1:{arguments.port}{arguments.path}",
            algorithm="ES256",
        )
    mcp = FastMCP("Received", auth=auth)

    @mcp.tool
    def received() -> dict:
        """Tell the headers of this very call, and the claims that were believed."""
        token = get_access_token() if auth else None
        return {
            "headers": get_http_headers(include_all=True),
            "claims": token.claims if token else None,
        }

    mcp.run(
        transport="http",
        host="127.0.0.1",
        port=arguments.port,
        path=arguments.path,
        show_banner=False,
        stateless_http=True,
    )


if __name__ == "__main__":
    main()
