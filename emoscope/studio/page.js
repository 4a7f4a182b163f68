(() => {
  // The address names the open tab (#tab-live), so that a reload, which another language needs, comes back to it; and a
  // link to such an address anywhere on the page opens the tab.
  const button = () => /^#tab-[a-z]+$/.test(location.hash) && document.querySelector(location.hash + "-button");

  addEventListener("click", ({ target }) => {
    const tab = target.closest?.("[role=tab]");
    if (tab) history.replaceState(null, "", "#" + tab.id.replace(/-button$/, ""));
  });
  addEventListener("hashchange", () => button()?.click());

  const wanted = location.hash;
  if (!/^#tab-/.test(wanted)) return;
  const asking = setInterval(() => { // the tabs are there some time before they listen
    const idle = performance.now() > 30_000; // an address that names no tab
    if (idle || location.hash !== wanted || button()?.ariaSelected === "true") clearInterval(asking);
    else button()?.click();
  }, 50);
})();
