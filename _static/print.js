// On paper everything is unfolded and light, whatever the screen shows; afterwards as it was.
(() => {
  let folded = [];
  let theme;
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("article details:not([open])")];
    for (const details of folded) details.open = true;
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
    if (theme) document.documentElement.dataset.theme = theme;
  });
})();
