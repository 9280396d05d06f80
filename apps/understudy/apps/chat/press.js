// What is pressed inside a piece of HTML becomes one event that says what it was.
const value = (button) => {
  const field = button.parentElement.querySelector('textarea');
  return field ? field.value : '';
};
const renamed = (button) => {
  const row = button.closest('li'), title = row.querySelector('.u-title');
  const input = document.createElement('input');
  input.value = button.dataset.title; input.setAttribute('aria-label', 'New title'); input.maxLength = 200;
  title.replaceChildren(input); input.focus(); input.select();
  input.addEventListener('click', (event) => event.stopPropagation());
  input.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key === 'Enter') trigger('click', { act: 'rename', id: button.dataset.id, text: input.value });
    if (event.key === 'Escape') title.textContent = button.dataset.title;
    if (event.key === ' ') { event.preventDefault(); input.setRangeText(' ', input.selectionStart, input.selectionEnd, 'end'); }
  });
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  if (!button || !element.contains(button)) return;
  const { act, id, turn, n, title } = button.dataset;
  if (act === 'rename') return renamed(button);
  if (act === 'delete' && !confirm(`Delete “${title}” with all its answers?`)) return;
  trigger('click', { act, id, turn, n, text: value(button) });
});
