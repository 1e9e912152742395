// Everything that a page can do; each module serves the pages that have its elements.
import "./compare.js";
import "./chips.js";
import "./decide.js";
import "./dialogs.js";
import "./drafts.js";
import "./geometry.js";
import "./holding.js";
import "./keys.js";
import "./live.js";
import "./queue.js";
import "./theme.js";
import "./times.js";
import "./viewer.js";
import "./join.js";
import "./viewer-tools.js";
import "./viewer-links.js";
