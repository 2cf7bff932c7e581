import sinon from 'sinon';

/** Every test ends with real clocks; an unhandled rejection ends the run (--unhandled-rejections=strict). */
export const mochaHooks = {
  afterEach() {
    sinon.restore();
  },
};
