// Read before the page is laid out: with the script, photos are on a stage instead of in a list.
if ("noModule" in HTMLScriptElement.prototype) document.documentElement.classList.add("scripted");
