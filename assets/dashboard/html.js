// How pages are written: elements as tagged templates, which make text of every
// value that is put into them. There is no other way to the document here.
import { h, render } from '/dashboard/vendor/preact.js';
import htm from '/dashboard/vendor/htm.js';

export { render };
export {
  useCallback, useContext, useEffect, useId, useLayoutEffect, useMemo, useRef, useState,
} from '/dashboard/vendor/preact-hooks.js';
export { createContext } from '/dashboard/vendor/preact.js';

export const html = htm.bind(h);
