(function () {
  "use strict";
  var chapters = Array.prototype.slice.call(document.querySelectorAll(".chapter"));
  var links = Array.prototype.slice.call(document.querySelectorAll("nav.side a"));
  var tip = document.getElementById("tip");
  document.documentElement.classList.add("js");

  function show() {
    var id = decodeURIComponent(location.hash.slice(1));
    var target = document.getElementById(id);
    var chapter = target && target.closest(".chapter");
    if (!chapter) { chapter = chapters[0]; target = null; }
    chapters.forEach(function (one) { one.hidden = one !== chapter; });
    links.forEach(function (link) {
      var here = link.getAttribute("href").slice(1);
      var top = here === chapter.id;
      link.parentNode.classList.toggle("open", top);
      if (here === id || (top && !target)) { link.setAttribute("aria-current", "true"); }
      else if (top) { link.setAttribute("aria-current", "location"); }
      else { link.removeAttribute("aria-current"); }
    });
    var fold = target && target !== chapter && (target.querySelector("details.fold") || target.closest("details.fold"));
    if (fold) { fold.open = true; }
    if (target && target !== chapter) { target.scrollIntoView(); }
    else { window.scrollTo(0, 0); }
  }

  function words(mark) { return mark && mark.getAttribute("data-tip"); }

  function moveTip(event) {
    var mark = event.target.closest ? event.target.closest("[data-tip]") : null;
    if (!words(mark)) { tip.hidden = true; return; }
    tip.textContent = words(mark);
    tip.hidden = false;
    var wide = tip.offsetWidth;
    var left = Math.min(Math.max(8, event.clientX - wide / 2), window.innerWidth - wide - 8);
    var top = event.clientY - tip.offsetHeight - 14;
    tip.style.left = left + "px";
    tip.style.top = (top < 4 ? event.clientY + 18 : top) + "px";
  }

  document.querySelectorAll("svg title").forEach(function (title) {
    title.parentNode.setAttribute("data-tip", title.textContent);
    title.remove();
  });
  document.addEventListener("pointermove", moveTip);
  document.addEventListener("pointerdown", moveTip);
  document.addEventListener("scroll", function () { tip.hidden = true; }, { passive: true });
  window.addEventListener("hashchange", show);
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details.source, details.fold").forEach(function (one) { one.open = true; });
    document.querySelectorAll("img").forEach(function (one) { one.loading = "eager"; });
  });
  if (chapters.length) { show(); }
})();
