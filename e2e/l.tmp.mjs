import { startStack } from './support/stack.mjs';
import { allowAndSignIn } from './support/browser.mjs';
import { BareClient } from './support/oauth.mjs';
const s = await startStack(); let bad=0, n=0;
const p0 = Date.now();
while (Date.now()-p0 < 420000){
  const c = new BareClient(s.url,{redirectUri:s.callback.url}); await c.discover(); await c.register();
  const r = c.authorization(); const p = await s.browser.person();
  await allowAndSignIn(p,r.url); await p.context().close();
  const a = await s.callback.next(); n++;
  if(!a.code) { bad++; console.log(n,a, s.gateway.log.slice(-900)); }
  await new Promise(r=>setTimeout(r,4000+Math.random()*800));
}
console.log(n,bad);
await s.stop();
