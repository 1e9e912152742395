// Everything that a page can do; each module serves the pages that have its elements.
import "./copying.js";
import "./handing-in.js";
import "./following.js";
import "./theme.js";
import "./times.js";
