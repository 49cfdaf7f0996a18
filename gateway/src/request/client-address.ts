import { isIPv4, isIPv6 } from 'node:net';

/**
 * Returns the address by which a client's budget is kept, from the address of its request: an IPv4 address,
 * or the first 64 bits of an IPv6 address, because a client has all addresses below them. A port, a zone and
 * the IPv6 form of an IPv4 address are left out. Returns undefined if the text is no address.
 */
export const budgetAddress = (text: string): string | undefined => {
  if (isIPv4(text)) return text;
  const address = /^\[(.*)\](?::\d+)?$/.exec(text)?.[1] ?? text.replace(/^([\d.]+):\d+$/, '$1');
  if (isIPv4(address)) return address;
  const [withoutZone = ''] = address.split('%');
  if (!isIPv6(withoutZone)) return undefined;
  // URL writes each address in one form: lower case, no leading zeros, IPv4 in hexadecimal.
  const groups = new URL(`http://[${withoutZone}]`).hostname.slice(1, -1).split(':');
  const gap = groups.indexOf('');
  const filled = groups.filter((group) => group !== '');
  if (gap !== -1) {
    const start = groups.slice(0, gap).filter((group) => group !== '').length;
    filled.splice(start, 0, ...Array.from({ length: 8 - filled.length }, () => '0'));
  }
  const [high = '0', low = '0'] = filled.slice(6);
  if (filled.slice(0, 6).join(':') === '0:0:0:0:0:ffff') {
    const bytes = [high, low].map((group) => parseInt(group, 16)).flatMap((word) => [word >> 8, word & 255]);
    return bytes.join('.');
  }
  return `${filled.slice(0, 4).join(':')}::/64`;
};
