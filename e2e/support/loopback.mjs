// Loaded before programs that would listen on every address, to keep them on loopback.
import { Server } from 'node:net';

const { listen } = Server.prototype;

Server.prototype.listen = function listenOnLoopback(first, ...rest) {
  if (typeof first === 'object' && first !== null) {
    return listen.call(this, first.path ? first : { host: '127.0.0.1', ...first }, ...rest);
  }
  const isPort = typeof first === 'number' || /^\d+$/.test(first);
  if (isPort && typeof rest[0] !== 'string') return listen.call(this, first, '127.0.0.1', ...rest);
  return listen.call(this, first, ...rest);
};
