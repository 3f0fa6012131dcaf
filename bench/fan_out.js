// Peer of fan_out.py: npm's `ws` sends one ready text to every client, round after round, once the round before is out.
// Arguments: the folder of node_modules, the text's size, how many clients to wait for. Prints its port; every client
// says one message first.
const [vendor, size, clients] = process.argv.slice(2);
const { WebSocketServer } = require(require.resolve('ws', { paths: [vendor] }));
const text = JSON.stringify({ type: 'change' }).padEnd(Number(size));
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
const ready = new Set();
server.on('connection', (socket) => {
  socket.on('message', () => { ready.add(socket); if (ready.size === Number(clients)) round(); });
  socket.on('error', () => ready.delete(socket));
  socket.on('close', () => ready.delete(socket));
});
function round() {
  for (const socket of ready) if (socket.bufferedAmount < 65536) socket.send(text);
  setImmediate(round);
}
server.on('listening', () => { console.log(server.address().port); });
