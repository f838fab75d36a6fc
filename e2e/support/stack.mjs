import { startCallback } from './callback.mjs';
import { startBrowser } from './browser.mjs';
import { startGateway, weatherServer } from './gateway.mjs';
import { startProvider } from './provider.mjs';
import { startWeather } from './weather.mjs';

/** Things to stop, the youngest first, all of them even if one refuses. */
export class Pile {
  #stops = [];

  async add(starting) {
    const thing = await starting;
    this.#stops.push(() => thing.stop());
    return thing;
  }

  async stop() {
    const errors = [];
    for (const stop of this.#stops.splice(0).reverse()) {
      try {
        await stop();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length) throw new AggregateError(errors, errors.map((error) => error.message).join('\n'));
  }
}

/** Every browser test also runs with TLS in front of the gateway; see scripts/e2e. */
const OVER_TLS = process.env.E2E_TLS === '1';

/** Provider, weather server, gateway, browser and a client's callback, ready to use. */
export async function startStack({ provider: ofProvider = {}, servers, clients, config, clock, tls = OVER_TLS, callback: ofCallback = {} } = {}) {
  const pile = new Pile();
  try {
    const provider = await pile.add(startProvider(ofProvider));
    const weather = await pile.add(startWeather());
    const callback = await pile.add(startCallback(ofCallback));
    const gateway = await pile.add(startGateway({
      provider,
      servers: servers ? servers(weather) : { weather: weatherServer(weather.url) },
      clients: clients ? clients(callback) : {},
      config,
      clock,
      tls,
    }));
    const browser = await pile.add(startBrowser({ ignoreCertificates: tls }));
    return {
      provider,
      weather,
      callback,
      gateway,
      browser,
      url: gateway.server('/weather/mcp'),
      stop: () => pile.stop(),
    };
  } catch (error) {
    await pile.stop();
    throw error;
  }
}
