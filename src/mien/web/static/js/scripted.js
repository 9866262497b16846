// Runs before the first paint, so that the layout does not shift: marks the page as scripted.
if ("noModule" in HTMLScriptElement.prototype) document.documentElement.classList.add("scripted");
