;; A strategy whose one step `attack` grows a table without end: the attack that Rust cannot express.
;;
;; A core module in the shape the canonical ABI gives the world `strategy-plugin` (see the Component Model's
;; CanonicalABI.md): tests embed the world's types with `wit-component` and encode it, as `understudy plugin build` does.
;; `run-step` ends after 1000 growths of 10,000 elements each with the answer "the table grew": it must never get there.
(module
  (memory (export "memory") 1)
  (table $table 1 funcref)

  ;; Strings, each used by address and length.
  (data (i32.const 16) "hostile-table")          ;; 13
  (data (i32.const 32) "0.1.0")                  ;; 5
  (data (i32.const 48) "Grows a table")          ;; 13
  (data (i32.const 64) "{}")                     ;; 2
  (data (i32.const 80) "attack")                 ;; 6
  (data (i32.const 96) "incident-commander")     ;; 18
  (data (i32.const 128) "the table grew")        ;; 14

  ;; description: name, version, summary, config-schema.
  (data (i32.const 256)
    "\10\00\00\00\0d\00\00\00" "\20\00\00\00\05\00\00\00" "\30\00\00\00\0d\00\00\00" "\40\00\00\00\02\00\00\00")
  ;; result<_, …>: ok.
  (data (i32.const 320) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
  ;; result<list<step>, error>: ok, one step at 384.
  (data (i32.const 352) "\00\00\00\00\00\00\00\00" "\80\01\00\00\01\00\00\00")
  ;; step: id, title, role, budget-ms, needs, reversal, acts, covers, uses.
  (data (i32.const 384)
    "\50\00\00\00\06\00\00\00" "\30\00\00\00\0d\00\00\00" "\60\00\00\00\12\00\00\00"
    "\60\ea\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00"
    "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00")
  ;; result<string, error>: ok, "the table grew".
  (data (i32.const 480) "\00\00\00\00\00\00\00\00" "\80\00\00\00\0e\00\00\00")

  ;; Arguments are written from 1024 on and never read.
  (global $free (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $start i32)
    (local.set $start (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $start) (local.get 3)))
    (local.get $start))

  (func (export "understudy:plugin/strategy@0.1.0#describe") (result i32) (i32.const 256))
  (func (export "understudy:plugin/strategy@0.1.0#validate-config") (param i32 i32) (result i32) (i32.const 320))
  (func (export "understudy:plugin/strategy@0.1.0#plan") (param i32 i32 i32 i32 i32 i64 i64) (result i32)
    (i32.const 352))
  (func (export "understudy:plugin/strategy@0.1.0#run-step")
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    (local $round i32)
    (loop $again
      (drop (table.grow $table (ref.null func) (i32.const 10000)))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $round) (i32.const 1000))))
    (i32.const 480))
  (func (export "understudy:plugin/strategy@0.1.0#undo-step")
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 480))
  (func (export "understudy:plugin/strategy@0.1.0#assess") (param i32 i32 i32 i32 i32 i64 i64) (result i32)
    (i32.const 320)))
