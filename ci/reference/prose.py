"""What CASES.md says that no model does."""

HEAD = """\
# Case files

<!-- Written by `python -m ci.reference`; change the models, or the prose in ci/reference. -->

A case file says what is served on which hosts, and what is to be proved of it. It is YAML, in \
one of three dialects, told apart by their keys: with `test_cases` it is `single_node`, with \
`routing`, `templates` or `kv_pool` at the top it is `external_dp`, else `deployment`.

```
inv check CASE.yaml             what is wrong or odd in it: file:line:column, and what to do
inv plan --config CASE.yaml     what would run where, every command in full
inv nightly --config CASE.yaml  run it
```

Every key that is not here is an error, with the nearest one that is. Sections at the top that are \
only there for their anchors may have any name. Editors that know the YAML language server check a \
file while it is written if it begins with

```yaml
# yaml-language-server: $schema=../case.schema.json
```

as those of configs/cases do. Numbers may stand in quotes where the field's own files have them \
so; a key without a default may be left out, or be there without a value.

No key may be written twice in one mapping, and neither may `<<`. To merge several mappings, \
list them: with `<<: [*a, *b]`, a key that both have gets its value from `*a`, as YAML 1.1 says, \
and the mapping's own keys win over both. That is so with every version of PyYAML, whose own \
loaders do not agree: 6.0.3 takes the value from `*a`, 6.0.4 that from `*b` unless the key is a \
single character."""

VARIABLES_HEAD = """\
## Variables

`$X` and `${X}` in commands and environments are replaced by these, and by the variables of the \
same process's environment. Any other is an error."""

OTHERWISE = """\
## Read otherwise than by the field's own loaders

A warning says so wherever it matters in a file.

- `disaggregated_prefill.enabled: false` means off. Today's loader separates whenever the section \
is there.
- A server is asked at the port of its own command line. Today's loader asks every one at \
`SERVER_PORT`.
- Whether a server is headless is its command line's say; a `headless:` that contradicts it does \
not count.
- A headless server is never sent requests, even where a list of roles names it. In no list, it \
does what the host does that it reports to.
- An accuracy above the baseline passes. Today's runner fails what is better by more than the \
threshold.
- `thinking: false` is sent as false, and `chat_template_kwargs` and `enable_thinking` go into \
each request. Today's runner leaves them out.
- A file loads alike on every machine: no port, address or interface is probed. Where the field's \
loader takes a free port (`DEFAULT_PORT`), the same one is always taken.
- Numbers and truths in an environment become the text that Python writes: `true` is `True`."""
