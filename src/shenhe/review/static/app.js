// Everything that a page can do; each module serves the pages that have its elements.
import "./decide.js";
import "./dialogs.js";
import "./drafts.js";
import "./evidence.js";
import "./holding.js";
import "./keys.js";
import "./theme.js";
import "./times.js";
import "./viewer.js";
import "./join.js";
