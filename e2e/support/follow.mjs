// A browser for authorization servers that ask nobody: follows redirects to their end.
let address = process.argv[2];
for (let hops = 0; address && hops < 10; hops += 1) {
  const answer = await fetch(address, { redirect: 'manual' });
  await answer.body?.cancel();
  const location = answer.headers.get('location');
  address = location && new URL(location, address).href;
}
