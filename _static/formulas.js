// A formula that is wider than its place scrolls there; the keyboard has to reach it to do so.
addEventListener("load", () => window.MathJax?.startup?.promise.then(() => {
  const scrolling = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  document.querySelectorAll("mjx-container[display]").forEach((formula) => scrolling.observe(formula));
}));
