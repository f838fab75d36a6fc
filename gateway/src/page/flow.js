// Keeps the record of a login up while it goes on, by asking for the same page again, and
// copies it for whoever can help. Without this, links on the page do both.
const EVERY = 2000;
const AT_MOST = 20 * 60 * 1000;
const begun = Date.now();

function put(now, next) {
  if (now.dataset.live === 'steps') {
    // Steps are only ever added: a reader hears the new ones, and no other.
    now.append(...[...next.children].slice(now.children.length));
  } else if (now.innerHTML !== next.innerHTML) {
    now.replaceChildren(...next.childNodes);
  }
}

// Whether the login goes on.
async function look() {
  const answer = await fetch(location.pathname, { cache: 'no-store', redirect: 'error' });
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const now of document.querySelectorAll('[data-live]')) {
    const next = page.querySelector(`[data-live="${now.dataset.live}"]`);
    if (next) put(now, next);
  }
  return page.querySelector('[data-again]') !== null;
}

async function keep() {
  try {
    if (!document.hidden && !(await look())) {
      document.querySelector('[data-again]')?.remove();
      return;
    }
  } catch {
    // The gateway restarts, or the network is away: the next time.
  }
  if (Date.now() - begun < AT_MOST) setTimeout(keep, EVERY);
}

if (document.querySelector('[data-again]')) setTimeout(keep, EVERY);

async function report() {
  const answer = await fetch(`${location.pathname}/text`, { cache: 'no-store', redirect: 'error' });
  if (!answer.ok) throw new Error('the record is gone');
  return `${location.origin}${location.pathname}\n\n${await answer.text()}`;
}

// Buttons for what only a script can do.
const take = document.querySelector('[data-take]');
if (take && navigator.clipboard) {
  const told = document.createElement('span');
  told.setAttribute('role', 'status');
  const row = document.createElement('p');
  row.className = 'take';
  for (const [label, of] of [
    [take.dataset.link, () => `${location.origin}${location.pathname}`],
    [take.dataset.report, report],
  ]) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.addEventListener('click', async () => {
      told.textContent = '';
      await navigator.clipboard.writeText(await of());
      told.textContent = take.dataset.copied;
    });
    row.append(button);
  }
  row.append(told);
  take.before(row);
}
