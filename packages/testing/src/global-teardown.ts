import { tearDown } from './global-setup.js';

/** Jest's global tear-down: stops and removes what the set-up created. */
const globalTeardown = (): Promise<void> => tearDown.run();

export { globalTeardown as default };
