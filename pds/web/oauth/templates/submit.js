// Sends the answer on without a click. Without scripts, the page's button does it.
document.getElementById("answer").submit();
