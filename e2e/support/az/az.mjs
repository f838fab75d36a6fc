// AZ_STANDIN names a file: { mode, token, tenant }; each call is noted beside it.
import { appendFileSync, readFileSync } from 'node:fs';

const said = process.argv.slice(2);
const file = process.env.AZ_STANDIN;
const { mode, token, tenant } = JSON.parse(readFileSync(file, 'utf8'));
appendFileSync(`${file}.calls`, `${JSON.stringify(said)}\n`);

if (said[0] === 'login') {
  console.log(JSON.stringify([{ cloudName: 'AzureCloud', tenantId: tenant, user: { name: 'ada@contoso.example', type: 'user' } }], null, 2));
  process.exit(0);
}
const flag = (name) => said[said.indexOf(name) + 1];
if (said.slice(0, 2).join(' ') !== 'account get-access-token' || !flag('--resource') || flag('--output') !== 'json') {
  console.error(`ERROR: '${said.join(' ')}' is misspelled or not recognized by the system.`);
  process.exit(2);
}
const answer = JSON.stringify({
  accessToken: token,
  expiresOn: '2099-01-01 00:00:00.000000',
  expires_on: 4070908800,
  subscription: '00000000-0000-0000-0000-000000000000',
  tenant,
  tokenType: 'Bearer',
}, null, 2);
switch (mode) {
  case 'cached':
    // A profile is there, a token is not: what `az account show` does not tell.
    console.error("ERROR: User 'ada@contoso.example' does not exist in MSAL token cache. Run `az login`.\n\n\n\n\n");
    process.exit(1);
    break;
  case 'warning':
    console.error("WARNING: You have 2 updates available. Consider updating your CLI installation with 'az upgrade'");
    console.log(answer);
    break;
  case 'noise':
    console.log(`WARNING: something on stdout\n${answer}`);
    break;
  default:
    console.log(answer);
}
