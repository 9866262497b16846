// Runs before the page is drawn, so that nothing jumps: says that scripts run.
if ("noModule" in HTMLScriptElement.prototype) document.documentElement.classList.add("scripted");
