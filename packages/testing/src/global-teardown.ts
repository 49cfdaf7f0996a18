import { tearDown } from './global-setup.js';

/** Jest's global tear-down: ends and removes what the set-up made. */
const globalTeardown = (): Promise<void> => tearDown.run();

export { globalTeardown as default };
