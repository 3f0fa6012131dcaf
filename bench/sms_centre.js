// A message centre by npm's `smpp` that sends `perS` messages a second and takes the time until each is answered.
// Arguments: the folder of node_modules, perS, seconds, and `echo` for a client of its own that answers at once.
const [vendor, perS, seconds, echo] = process.argv.slice(2);
const smpp = require(require.resolve('smpp', { paths: [vendor] }));
const sent = new Map(); // by number, when
const waits = []; // milliseconds
const all = perS * seconds;
const number = (n) => '7701' + String(1000000 + n * 100).padStart(7, '0');
function deliver(session, n) {
  const message = {
    source_addr: number(n), destination_addr: '2505', short_message: '0451', receipted_message_id: `b${n}`,
  };
  session.deliver_sm(message, (answer) => {
    if (answer.command_status) setTimeout(() => deliver(session, n), 100);
  });
}
function begin(session) {
  let n = 0;
  const started = process.hrtime.bigint();
  const timer = setInterval(() => {
    const due = Math.min(all, Number(process.hrtime.bigint() - started) / 1e9 * perS);
    for (; n < due; n++) {
      sent.set(number(n), process.hrtime.bigint());
      deliver(session, n);
    }
    if (n >= all) clearInterval(timer);
  }, 2);
}
const server = smpp.createServer({}, (session) => {
  session.on('error', () => {});
  session.on('bind_transceiver', (pdu) => { session.send(pdu.response()); setTimeout(() => begin(session), 500); });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('submit_sm', (pdu) => {
    const since = sent.get(pdu.destination_addr);
    session.send(pdu.response({ message_id: 'm' + waits.length }));
    if (since === undefined) return;
    sent.delete(pdu.destination_addr);
    waits.push(Number(process.hrtime.bigint() - since) / 1e6);
    if (waits.length === all) end(pdu);
  });
  session.on('unbind', (pdu) => session.send(pdu.response()));
});
function end(pdu) {
  const text = pdu.short_message.message;
  console.log(JSON.stringify({ waits, text: text.toString() }));
  setTimeout(() => process.exit(0), 100);
}
server.listen(0, '127.0.0.1', () => {
  console.log(server.address().port);
  if (echo) {
    const url = `smpp://127.0.0.1:${server.address().port}`;
    const client = smpp.connect({ url }, () => client.bind_transceiver({}));
    client.on('deliver_sm', (pdu) => {
      client.send(pdu.response());
      client.submit_sm({ source_addr: '2505', destination_addr: pdu.source_addr, short_message: 'echo' });
    });
    client.on('error', () => {});
  }
});
