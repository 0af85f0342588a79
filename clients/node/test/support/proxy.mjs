import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * A proxy that forwards to a server, and cuts a connection after so many bytes, both ways together. `nextLimit` says
 * how many the next connection gets.
 */
export class CuttingProxy {
  cuts = 0;

  static async to(address, t, nextLimit) {
    const proxy = new CuttingProxy();
    const [host, port] = address.split(":");
    proxy.server = createServer((client) => proxy.#forward(client, connect(Number(port), host), nextLimit()));
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.address = `127.0.0.1:${proxy.server.address().port}`;
    t.after(() => proxy.close());
    return proxy;
  }

  #sockets = new Set();

  #forward(client, server, limit) {
    let left = limit;
    const end = () => {
      for (const socket of [client, server]) {
        this.#sockets.delete(socket);
        socket.resetAndDestroy(); // what has been sent is thrown away too, as when a machine disappears
      }
    };
    for (const [from, to] of [
      [client, server],
      [server, client],
    ]) {
      this.#sockets.add(from);
      from.on("error", end).on("close", end);
      from.on("data", (bytes) => {
        if (left <= 0) return;
        left -= bytes.length;
        if (!to.write(bytes)) {
          from.pause();
          to.once("drain", () => from.resume());
        }
        if (left > 0) return;
        ++this.cuts;
        end();
      });
    }
  }

  close() {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
