// An issuer of identity tokens on a free port. It says its URL, then answers each line of JSON with one line.
import { createInterface } from 'node:readline';
import { OAuth2Server } from 'oauth2-mock-server';

const server = new OAuth2Server();
await server.start(0, '127.0.0.1');
server.issuer.url = `http://127.0.0.1:${server.address().port}`;
console.log(server.issuer.url);

const answers = {
  generate: async ({ alg, kid }) => {
    const curve = alg === 'EdDSA' ? { crv: 'Ed25519' } : {};
    return (await server.issuer.keys.generate(alg, { kid, ...curve })).kid;
  },
  token: ({ kid, expiresIn, claims }) =>
    server.issuer.buildToken({ kid, expiresIn, scopesOrTransform: (_, payload) => Object.assign(payload, claims) }),
  stop: async () => {
    await server.stop();
    return 'stopped';
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { what, ...asked } = JSON.parse(line);
  console.log(await answers[what](asked));
}
process.exit(0);
