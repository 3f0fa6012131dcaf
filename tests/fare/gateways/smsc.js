// Message centres by npm's `smpp`: one for each connection to the port that is printed. JSON lines over that connection
// tell it what to do wrong, and it reports by JSON lines what it sees.
const net = require('net');
const readline = require('readline');
const smpp = require(require.resolve('smpp', { paths: [process.argv[2]] }));

function centre(control) {
  const tell = (event) => control.write(JSON.stringify(event) + '\n');
  const manner = { bind: 0, submit: 0, throttle: 0, answers: true, bindAnswers: true, enquire: true };
  const sessions = [];
  let messages = 0;

  const server = smpp.createServer({}, (session) => {
    session.on('error', () => {});
    session.on('close', () => {
      sessions.splice(sessions.indexOf(session), 1);
      tell({ event: 'closed' });
    });
    for (const bind of ['bind_transceiver', 'bind_receiver', 'bind_transmitter']) {
      session.on(bind, (pdu) => {
        tell({ event: 'bind', as: bind, system_id: pdu.system_id, password: pdu.password });
        if (!manner.bindAnswers) return;
        session.send(pdu.response({ command_status: manner.bind, system_id: 'npm' }));
        if (manner.bind === 0) sessions.push(session);
      });
    }
    session.on('enquire_link', (pdu) => {
      tell({ event: 'enquire_link' });
      if (manner.enquire) session.send(pdu.response());
    });
    session.on('unbind', (pdu) => {
      tell({ event: 'unbind' });
      session.send(pdu.response());
    });
    session.on('submit_sm', (pdu) => {
      const text = pdu.short_message.message;
      const id = `m${++messages}`;
      tell({
        event: 'submit', from: pdu.source_addr, to: pdu.destination_addr, coding: pdu.data_coding, id,
        esm: pdu.esm_class, receipt: pdu.registered_delivery,
        text: Buffer.isBuffer(text) ? text.toString('latin1') : text, udh: (pdu.short_message.udh || []).map((one) => one.toString('hex')),
      });
      if (!manner.answers) return;
      const throttled = manner.throttle > 0;
      if (throttled) manner.throttle -= 1;
      const status = throttled ? smpp.ESME_RTHROTTLED : manner.submit;
      session.send(pdu.response({ command_status: status, message_id: status ? undefined : id }));
    });
  });

  const does = {
    manner: ({ event, ...changed }) => Object.assign(manner, changed),
    cut: () => sessions.forEach((session) => session.socket.destroy()),
    raw: ({ hex }) => sessions.forEach((session) => session.socket.write(Buffer.from(hex, 'hex'))),
    deliver: ({ name, from, to, text, hex, udh, coding = 0, esm = 0, tlvs = {} }) => {
      const message = { message: hex === undefined ? text : Buffer.from(hex, 'hex') };
      if (udh) message.udh = Buffer.from(udh, 'hex');
      const fields = {
        source_addr: from, destination_addr: to, short_message: message, data_coding: coding, esm_class: esm, ...tlvs,
      };
      sessions[0].deliver_sm(fields, (answer) => tell({ event: 'answer', name, status: answer.command_status }));
    },
  };

  server.listen(0, '127.0.0.1', () => tell({ event: 'listening', port: server.address().port }));
  control.on('error', () => {});
  control.on('close', () => {
    does.cut();
    server.close();
  });
  readline.createInterface({ input: control })
    .on('error', () => {})
    .on('line', (line) => { const told = JSON.parse(line); does[told.do](told); });
}

const door = net.createServer(centre);
door.listen(0, '127.0.0.1', () => console.log(door.address().port));
process.stdin.resume().on('end', () => process.exit(0));
