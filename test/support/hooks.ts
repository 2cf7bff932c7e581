import sinon from 'sinon';

/** After every test the fake clocks and stubs that it made with sinon are taken away. */
export const mochaHooks = {
  afterEach() {
    sinon.restore();
  },
};
