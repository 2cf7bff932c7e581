import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A self-signed certificate for 127.0.0.1 and 127.0.0.2, made by openssl. */
export interface Certificate {
  /** the file's path, for NODE_EXTRA_CA_CERTS */
  readonly file: string;
  readonly ca: Buffer;
  /** what a server of Node takes */
  readonly tls: { readonly cert: Buffer; readonly key: Buffer };
  /** what the configuration of a Redis or a Sentinel has for it, beside `tls-port` */
  readonly directives: readonly (readonly [name: string, value: string])[];
  remove(): void;
}

export function makeCertificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
  const file = join(folder, 'cert.pem');
  const key = join(folder, 'key.pem');
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,IP:127.0.0.2'];
  execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', file], { stdio: 'ignore' });
  return {
    file,
    ca: readFileSync(file),
    tls: { cert: readFileSync(file), key: readFileSync(key) },
    directives: [
      ['tls-cert-file', file],
      ['tls-key-file', key],
      ['tls-ca-cert-file', file],
      ['tls-auth-clients', 'no'],
    ],
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
