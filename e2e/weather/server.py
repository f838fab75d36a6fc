"""The weather MCP server of the tests: three tools whose answers depend on their arguments alone."""

import argparse
from typing import Annotated

from fastmcp import FastMCP
from pydantic import Field

CITIES = {
    "norway": ["Oslo", "Bergen", "Trondheim"],
    "germany": ["Berlin", "Hamburg", "Munich"],
    "portugal": ["Lisbon", "Porto", "Faro"],
    "usa": ["Seattle", "Boston", "Denver"],
}
CONDITIONS = ["Sunny", "Cloudy", "Rainy", "Windy", "Snowy"]

mcp = FastMCP("Weather")
alerts: dict[str, float] = {}


def weather_of(city: str) -> dict:
    """Derives the weather from the letters of the name, so that every run sees the same."""
    seed = sum(ord(letter) for letter in city.casefold())
    return {
        "city": city,
        "condition": CONDITIONS[seed % len(CONDITIONS)],
        "temperature": seed % 36 - 5,
        "humidity": 30 + seed % 61,
    }


@mcp.tool
def get_cities(country: Annotated[str, Field(description="Name of a country")]) -> dict:
    """List the cities of a country for which the weather is known."""
    return {"country": country, "cities": CITIES.get(country.casefold(), [])}


@mcp.tool
def get_weather(city: Annotated[str, Field(description="Name of a city")]) -> dict:
    """Tell the weather in a city."""
    return weather_of(city)


@mcp.tool
def set_alert(
    city: Annotated[str, Field(description="Name of a city")],
    threshold: Annotated[float, Field(description="Temperature above which to warn")],
) -> dict:
    """Set the temperature above which an alert is raised for a city."""
    alerts[city] = threshold
    return {"city": city, "threshold": threshold, "alerts": len(alerts)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--path", default="/weather/mcp")
    arguments = parser.parse_args()
    mcp.run(
        transport="http",
        host=arguments.host,
        port=arguments.port,
        path=arguments.path,
        show_banner=False,
    )


if __name__ == "__main__":
    main()
