/** The OpenID provider of a run: `E2E_PROVIDER` names its module. Those about one provider alone import that one. */
export { PEOPLE } from './people.mjs';

export const PROVIDER = process.env.E2E_PROVIDER || 'oidc-provider';

export const { startProvider, LOGIN_FORM, fillLoginForm } = await import(`./${PROVIDER}.mjs`);
