// Keeps the record of a login up while it goes on, by asking for the same page again. Without
// this, the link on the page does it.
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

setTimeout(keep, EVERY);
