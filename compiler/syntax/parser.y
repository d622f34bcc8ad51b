/* Grammar of the language, after scanning. Each rule shows a line that it accepts.
 *
 * Recovery happens at `;` and at the end of a block, nowhere else: kinder-looking places swallow
 * the next statement. An error in a header skips its whole block (see `skip` in parse.c)
 * and is recovered without yyerrok, so that what is left is passed over in silence. */
%require "3.8"
%expect 0
%define api.pure full
%define api.prefix {gradc_yy}
%define api.token.prefix {TOK_}
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%param { yyscan_t scanner } { ParseCtx *pc }
%initial-action { @$ = parse_start(pc); }

%code requires {
  #include "syntax/context.h"
  #ifndef YY_TYPEDEF_YY_SCANNER_T
  #define YY_TYPEDEF_YY_SCANNER_T
  typedef void *yyscan_t;
  #endif
  #define YYLLOC_DEFAULT(cur, rhs, n)                                   \
    ((cur).begin = (n) ? YYRHSLOC(rhs, 1).begin : YYRHSLOC(rhs, 0).end, \
     (cur).end = (n) ? YYRHSLOC(rhs, n).end : YYRHSLOC(rhs, 0).end)
}
%code provides {
  /* The scanner (lexer.l), and what the parser calls: it also returns tokens put back by reports. */
  #define YY_DECL int gradc_scan(GRADC_YYSTYPE *val, Span *at, yyscan_t yyscanner, ParseCtx *pc)
  YY_DECL;
  int gradc_yylex(GRADC_YYSTYPE *val, Span *at, yyscan_t scanner, ParseCtx *pc);
}
%code {
  #define NEW(kind_, at_, ...) ast_make(pc, (Ast){.kind = AST_##kind_, .at = (at_), __VA_ARGS__})
  #define UNARY(at_, op_, x_) NEW(UNARY, at_, .unary = {op_, x_})
  #define BINARY(at_, op_, x_, y_) NEW(BINARY, at_, .binary = {op_, x_, y_})

  static void gradc_yyerror(const Span *at, yyscan_t scanner, ParseCtx *pc, const char *message);
}

%union {
  const char *text;
  Ast *node_value;
  AstList list;
}

%token NET "net" PARAM "param" CONST "const" DATA "data" MODEL "model" TRAIN "train" EVAL "eval"
%token USE "use" BLOCK "block" REPEAT "repeat" IN "in" IF "if" ELSE "else"
%token INFER "infer" BUILD "build" FIELD "field" SPLIT "split" SCHEDULE "schedule" STOP "stop"
%token GROUP "group" EVERY "every"
%token REPORT "report" OUTPUT "output" EPOCHS "epochs" STEPS "steps" FROM "from" OF "of" ON "on"
%token AS "as" FOR "for" THEN "then" WHEN "when" RETURN "return" AND "and" OR "or" NOT "not"
%token TRUE "true" FALSE "false" OP "op" WHERE "where"
%token SUM "+=" MAXOF "maxof=" MINOF "minof="
%token ARROW "->" RANGE ".." POWER "**" LE "<=" GE ">=" EQ "==" NE "!="
%token <text> NAME "name"
%token <node_value> NUMBER "number" STRING "string"

%left "or"
%left "and"
%precedence "not"
%nonassoc '<' '>' "<=" ">=" "==" "!="
%nonassoc ".."
%left '+' '-'
%left '*' '/' '%'
%precedence NEGATE
%right "**"

%nterm <text> word name reduction
%nterm <node_value> item property field source as split_item signature formal result type stmt
%nterm <node_value> assign over dim branch chain stage arg amount expr ref train_item piece output
%nterm <node_value> action
%nterm <list> items data_items splits pipe stmts formals results result_list dims names chains
%nterm <list> values stages args arg_list exprs train_items pieces eval_items infer_items outputs
%nterm <list> build_items assigns where overs group_items actions

%%
items: %empty                         { $$ = list_of(NULL); }
     | items item                     { $$ = list_add($1, $2); keep_items(pc, $$); }
     | items error ';'                { $$ = list_add($1, NEW(ERROR, @2)); keep_items(pc, $$); }
     | items error '}'                { $$ = list_add($1, NEW(ERROR, @2)); keep_items(pc, $$); }
     ;

item: "net" NUMBER ';'                /* net 1; */
      { $$ = NEW(VERSION, @$, .version = {$2->number.value}); }
    | "use" STRING ';'                /* use "layers.nn"; */
      { $$ = NEW(USE, @$, .use = {$2->string.text, @2}); }
    | "param" name '=' expr ';'       /* param classes = 10; */
      { $$ = NEW(PARAM, @$, .param = {$2, $4, @2}); }
    | "const" name '=' expr ';'       /* const T = 64; */
      { $$ = NEW(CONST, @$, .param = {$2, $4, @2}); }
    | "data" name '{' data_items close
      { $$ = NEW(DATA, @$, .data = {$2, $4.head, @2}); }
    | "model" signature '{' stmts close
      { $$ = NEW(MODEL, @$, .model = {$2, $4.head}); }
    | "block" signature '{' stmts close  /* block b(x: f32[n], units, p = 0.5) -> f32[units] {..} */
      { $$ = NEW(BLOCK, @$, .model = {$2, $4.head}); }
    | "op" signature '{' assigns close  /* op mish(x: f32[*s]) -> f32[*s] { y[*i] = ..; } */
      { $$ = NEW(OP, @$, .model = {$2, $4.head}); }
    | "train" name "on" name '{' train_items close
      { $$ = NEW(TRAIN, @$, .train = {$2, $4, $6.head, @2, @4, NULL, {0, 0}}); }
    | "train" name "on" name "as" name '{' train_items close
      { $$ = NEW(TRAIN, @$, .train = {$2, $4, $8.head, @2, @4, $6, @6}); }
    | "eval" name "on" name '.' name '{' eval_items close
      { $$ = NEW(EVAL, @$, .eval = {$2, $4, $6, $8.head, @2, @4, @6}); }
    | "infer" name '{' infer_items close
      { $$ = NEW(INFER, @$, .infer = {$2, $4.head, @2}); }
    | "build" '{' build_items close
      { $$ = NEW(BUILD, @$, .build = {$3.head}); }
    ;

close: '}'
     | error '}'                      { yyerrok; }
     ;

/* batch: 64;   train: idx("images", "labels");   freeze: "c1.*", "c2.*";   window: 8, stride=4; */
property: word ':' values ';'         { $$ = NEW(PROPERTY, @$, .property = {$1, $3.head, @1}); }
        ;

values: chain                         { $$ = list_of($1); }
      | values ',' chain              { $$ = list_add($1, $3); }
      | values ',' name '=' chain     { $$ = list_add($1, NEW(ARG, @5, .arg = {$3, $5, @3})); }
      ;

/* ---- data ---- */

data_items: %empty                    { $$ = list_of(NULL); }
          | data_items property       { $$ = list_add($1, $2); }
          | data_items field          { $$ = list_add($1, $2); }
          | data_items "split" ':' splits ';'  { $$ = list_join($1, $4); }
          | data_items error ';'      { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
          ;

/* split: valid = 5000 of train, test = 10%; */
splits: split_item                    { $$ = list_of($1); }
      | splits ',' split_item         { $$ = list_add($1, $3); }
      ;

split_item: name '=' expr
            { $$ = NEW(SPLIT_ITEM, @$, .split_item = {.name = $1, .amount = $3, .name_at = @1}); }
          | name '=' expr "of" name
            { $$ = NEW(SPLIT_ITEM, @$, .split_item = {$1, $3, $5, @1, @5}); }
          ;

/* field x: u8[28,28] as f32[1,28,28] -> div(255);   field x: f32[8] from "age..income"; */
field: "field" name ':' type source as pipe ';'
       { $$ = NEW(FIELD, @$, .field = {.name = $2, .name_at = @2, .type = $4, .as = $6,
                                       .pipe = $7.head, .from = $5 ? $5->string.text : NULL,
                                       .from_at = $5 ? $5->at : (Span){0, 0}}); }
     | "field" name ':' type '=' expr ';'  /* field y: token[64] = next(x); */
       { $$ = NEW(FIELD, @$, .field = {.name = $2, .name_at = @2, .type = $4, .value = $6}); }
     ;

source: %empty                        { $$ = NULL; }
      | "from" STRING                 { $$ = $2; }
      ;

as: %empty                            { $$ = NULL; }
  | "as" type                         { $$ = $2; }
  ;

pipe: %empty                          { $$ = list_of(NULL); }
    | "->" stages                     { $$ = $2; }
    ;

/* ---- model ---- */

/* m(x: f32[1,28,28], z: f32[3]) -> logits: f32[10] */
signature: name '(' formals ')' "->" results
           { $$ = NEW(SIGNATURE, @$, .signature = {$1, $3.head, $6.head, @1}); }
         ;

formals: formal                       { $$ = list_of($1); }
       | formals ',' formal           { $$ = list_add($1, $3); }
       ;

formal: name
        { $$ = NEW(FORMAL, @$, .formal = {$1, NULL, @1, NULL, false}); }
      | name ':' type
        { $$ = NEW(FORMAL, @$, .formal = {$1, $3, @1, NULL, false}); }
      | name ':' "param" type         /* w: param f32[f,c,k] */
        { $$ = NEW(FORMAL, @$, .formal = {$1, $4, @1, NULL, true}); }
      | name ':' "param" type '=' expr  /* w: param f32[f] = zeros */
        { $$ = NEW(FORMAL, @$, .formal = {$1, $4, @1, $6, true}); }
      | name '=' expr
        { $$ = NEW(FORMAL, @$, .formal = {$1, NULL, @1, $3, false}); }
      ;

results: type                         { $$ = list_of(NEW(FORMAL, @$, .formal = {.type = $1})); }
       | result                       { $$ = list_of($1); }
       | '(' result_list ')'          { $$ = $2; }
       ;

result_list: result                   { $$ = list_of($1); }
           | result_list ',' result   { $$ = list_add($1, $3); }
           ;

result: name ':' type                 { $$ = NEW(FORMAL, @$, .formal = {$1, $3, @1, NULL, false}); }
      ;

/* f32   u8[28, 28]   label(10, names="cat,dog") */
type: NAME                            { $$ = NEW(TYPE, @$, .type = {.name = $1}); }
    | NAME '[' dims ']'               { $$ = NEW(TYPE, @$, .type = {$1, $3.head, true}); }
    | NAME '(' args ')'               { $$ = NEW(TYPE, @$, .type = {$1, $3.head, false}); }
    ;

dims: dim                             { $$ = list_of($1); }
    | dims ',' dim                    { $$ = list_add($1, $3); }
    ;

dim: expr
   | '*' name                         /* f32[c,*s]   x[c,*i] */
     { $$ = NEW(PACK, @$, .name = {$2}); }
   ;

stmts: %empty                         { $$ = list_of(NULL); }
     | stmts stmt                     { $$ = list_add($1, $2); }
     | stmts error ';'                { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
     ;

/* c1 = x -> conv(6, 5) -> relu;   (a, b) = h -> halves;   return c1; */
stmt: name '=' chain ';'
      { $$ = NEW(LET, @$, .let = {NEW(NAME, @1, .name = {$1}), $3}); }
    | '(' names ')' '=' chain ';'     { $$ = NEW(LET, @$, .let = {$2.head, $5}); }
    | "return" chains ';'             { $$ = NEW(RETURN, @$, .ret = {$2.head}); }
    | "repeat" name "in" expr '{' stmts close  /* repeat i in 1..3 { h = h -> f; } */
      { $$ = NEW(REPEAT, @$, .repeat = {$2, $4, $6.head, @2}); }
    | branch
    ;

/* if n > 2 { .. } else if n > 1 { .. } else { .. } */
branch: "if" expr '{' stmts close
        { $$ = NEW(IF, @$, .branch = {.cond = $2, .then = $4.head}); }
      | "if" expr '{' stmts close "else" '{' stmts close
        { $$ = NEW(IF, @$, .branch = {$2, $4.head, $8.head, @6}); }
      | "if" expr '{' stmts close "else" branch
        { $$ = NEW(IF, @$, .branch = {$2, $4.head, $7, @6}); }
      ;

names: name                           { $$ = list_of(NEW(NAME, @1, .name = {$1})); }
     | names ',' name                 { $$ = list_add($1, NEW(NAME, @3, .name = {$3})); }
     ;

chains: chain                         { $$ = list_of($1); }
      | chains ',' chain              { $$ = list_add($1, $3); }
      ;

/* x -> conv(6, 5, pad=2) -> relu as r1 */
chain: expr
     | expr "->" stages               { $$ = NEW(CHAIN, @$, .chain = {$1, $3.head}); }
     ;

stages: stage                         { $$ = list_of($1); }
      | stages "->" stage             { $$ = list_add($1, $3); }
      ;

stage: name
       { $$ = NEW(STAGE, @$, .stage = {.callee = $1, .callee_at = @1}); }
     | name "as" name
       { $$ = NEW(STAGE, @$, .stage = {$1, NULL, false, $3, @1, @3}); }
     | name '(' args ')'
       { $$ = NEW(STAGE, @$, .stage = {$1, $3.head, true, NULL, @1, {0, 0}}); }
     | name '(' args ')' "as" name
       { $$ = NEW(STAGE, @$, .stage = {$1, $3.head, true, $6, @1, @6}); }
     ;

args: %empty                          { $$ = list_of(NULL); }
    | arg_list
    | arg_list ','
    ;

arg_list: arg                         { $$ = list_of($1); }
        | arg_list ',' arg            { $$ = list_add($1, $3); }
        ;

arg: chain                            { $$ = NEW(ARG, @$, .arg = {.value = $1}); }
   | name '=' chain                   { $$ = NEW(ARG, @$, .arg = {$1, $3, @1}); }
   | amount                           { $$ = NEW(ARG, @$, .arg = {.value = $1}); }
   ;

/* 4 epochs */
amount: expr "epochs"                 { $$ = NEW(AMOUNT, @$, .amount = {$1, true}); }
      | expr "steps"                  { $$ = NEW(AMOUNT, @$, .amount = {$1, false}); }
      ;

/* ---- expressions ---- */

expr: NUMBER
    | STRING
    | "true"                          { $$ = NEW(BOOL, @$, .boolean = {true}); }
    | "false"                         { $$ = NEW(BOOL, @$, .boolean = {false}); }
    | ref
    | ref '(' args ')'                { $$ = NEW(CALL, @$, .call = {$1, $3.head}); }
    | name '[' dims ']'               { $$ = NEW(INDEX, @$, .index = {$1, $3.head, @1}); }
    | '(' chain ')'                   { $$ = $2; }
    | '[' exprs ']'                   { $$ = NEW(LIST, @$, .list = {$2.head}); }
    | '[' exprs ',' ']'               { $$ = NEW(LIST, @$, .list = {$2.head}); }
    | '-' expr %prec NEGATE           { $$ = UNARY(@$, "-", $2); }
    | "not" expr                      { $$ = UNARY(@$, "not", $2); }
    | expr '+' expr                   { $$ = BINARY(@$, "+", $1, $3); }
    | expr '-' expr                   { $$ = BINARY(@$, "-", $1, $3); }
    | expr '*' expr                   { $$ = BINARY(@$, "*", $1, $3); }
    | expr '/' expr                   { $$ = BINARY(@$, "/", $1, $3); }
    | expr '%' expr                   { $$ = BINARY(@$, "%", $1, $3); }
    | expr "**" expr                  { $$ = BINARY(@$, "**", $1, $3); }
    | expr '<' expr                   { $$ = BINARY(@$, "<", $1, $3); }
    | expr '>' expr                   { $$ = BINARY(@$, ">", $1, $3); }
    | expr "<=" expr                  { $$ = BINARY(@$, "<=", $1, $3); }
    | expr ">=" expr                  { $$ = BINARY(@$, ">=", $1, $3); }
    | expr "==" expr                  { $$ = BINARY(@$, "==", $1, $3); }
    | expr "!=" expr                  { $$ = BINARY(@$, "!=", $1, $3); }
    | expr "and" expr                 { $$ = BINARY(@$, "and", $1, $3); }
    | expr "or" expr                  { $$ = BINARY(@$, "or", $1, $3); }
    | expr ".." expr                  { $$ = NEW(RANGE, @$, .range = {$1, $3}); }
    ;

exprs: expr                           { $$ = list_of($1); }
     | exprs ',' expr                 { $$ = list_add($1, $3); }
     ;

/* lr   valid.loss */
ref: name                             { $$ = NEW(NAME, @$, .name = {$1}); }
   | ref '.' name                     { $$ = NEW(FIELD_OF, @$, .field_of = {$1, $3}); }
   ;

/* ---- train, eval, infer, build ---- */

train_items: %empty                   { $$ = list_of(NULL); }
           | train_items train_item   { $$ = list_add($1, $2); }
           | train_items error ';'    { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
           ;

/* A mistake before '{' leaves the statements behind it to be read. */
train_item: property
          | "schedule" ':' name '=' pieces ';'
            /* schedule: lr = warmup(from=0.005) for 1 epochs then cosine(to=1e-4); */
            { $$ = NEW(SCHEDULE, @$, .schedule = {$3, $5.head}); }
          | "stop" "when" expr ';'    /* stop when stalled(valid.loss, 4 epochs); */
            { $$ = NEW(STOP, @$, .stop = {$3}); }
          | "group" exprs '{' group_items close  /* group "*.bias" { weight_decay: 0; } */
            { $$ = NEW(GROUP, @$, .group = {$2.head, $4.head}); }
          | "group" error '{' group_items close  { $$ = NEW(ERROR, @2); }
          | "group" error ';'         { $$ = NEW(ERROR, @2); yyerrok; }
          | "every" amount '{' actions close  /* every 100 steps { print loss, lr; } */
            { $$ = NEW(EVERY, @$, .every = {$2, $4.head}); }
          | "every" error '{' actions close  { $$ = NEW(ERROR, @2); }
          | "every" error ';'         { $$ = NEW(ERROR, @2); yyerrok; }
          ;

group_items: %empty                   { $$ = list_of(NULL); }
           | group_items property     { $$ = list_add($1, $2); }
           | group_items error ';'    { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
           ;

actions: %empty                       { $$ = list_of(NULL); }
       | actions action               { $$ = list_add($1, $2); }
       | actions error ';'            { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
       ;

/* print loss, lr;   eval valid;   save best by valid.loss "best.safetensors"; */
action: NAME chains ';'
        { $$ = NEW(ACTION, @$, .action = {.verb = $1, .values = $2.head, .verb_at = @1}); }
      | "eval" chains ';'
        { $$ = NEW(ACTION, @$, .action = {.verb = "eval", .values = $2.head, .verb_at = @1}); }
      | NAME NAME NAME ref STRING ';'
        { $$ = NEW(ACTION, @$, .action = {$1, $2, $3, $4, $5, @1, @2}); }
      ;

pieces: piece                         { $$ = list_of($1); }
      | pieces "then" piece           { $$ = list_add($1, $3); }
      ;

piece: stage                          { $$ = NEW(PIECE, @$, .piece = {.call = $1}); }
     | stage "for" amount             { $$ = NEW(PIECE, @$, .piece = {$1, $3}); }
     ;

eval_items: %empty                    { $$ = list_of(NULL); }
          | eval_items property       { $$ = list_add($1, $2); }
          | eval_items "report" chains ';'  /* report accuracy(logits, y), confusion(logits, y); */
            { $$ = list_add($1, NEW(REPORT, ((Span){@2.begin, @4.end}), .report = {$3.head})); }
          | eval_items error ';'      { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
          ;

infer_items: %empty                   { $$ = list_of(NULL); }
           | infer_items property     { $$ = list_add($1, $2); }
           | infer_items "output" ':' outputs ';'  { $$ = list_join($1, $4); }
           | infer_items error ';'    { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
           ;

outputs: output                       { $$ = list_of($1); }
       | outputs ',' output           { $$ = list_add($1, $3); }
       ;

/* softmax(logits) as prob   logits   logits -> softmax */
output: chain                         { $$ = NEW(OUTPUT_ITEM, @$, .output_item = {.value = $1}); }
      | expr "as" name                { $$ = NEW(OUTPUT_ITEM, @$, .output_item = {$1, $3, @3}); }
      ;

build_items: %empty                   { $$ = list_of(NULL); }
           | build_items property     { $$ = list_add($1, $2); }
           | build_items error ';'    { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
           ;

/* ---- op: index notation ---- */

assigns: %empty                       { $$ = list_of(NULL); }
       | assigns assign               { $$ = list_add($1, $2); }
       | assigns error ';'            { $$ = list_add($1, NEW(ERROR, @2)); yyerrok; }
       ;

/* y[f,i] += x[c, i+j] * w[f,c,j];   m maxof= x[i];   y[i] += x[i+d] where d in -1..1; */
assign: name reduction expr where ';'
        { $$ = NEW(ASSIGN, @$, .assign = {$1, $2, NULL, $3, $4.head, @1, @2}); }
      | name '[' dims ']' reduction expr where ';'
        { $$ = NEW(ASSIGN, @$, .assign = {$1, $5, $3.head, $6, $7.head, @1, @5}); }
      ;

reduction: '='                        { $$ = "="; }
         | "+="                       { $$ = "+="; }
         | "maxof="                   { $$ = "maxof="; }
         | "minof="                   { $$ = "minof="; }
         ;

where: %empty                         { $$ = list_of(NULL); }
     | "where" overs                  { $$ = $2; }
     ;

overs: over                           { $$ = list_of($1); }
     | overs ',' over                 { $$ = list_add($1, $3); }
     ;

over: name "in" expr                  { $$ = NEW(OVER, @$, .over = {$1, $3, @1}); }
    ;

/* ---- names: words of the language that are free elsewhere ---- */

name: word
    | "field"                         { $$ = "field"; }
    | "split"                         { $$ = "split"; }
    | "schedule"                      { $$ = "schedule"; }
    | "stop"                          { $$ = "stop"; }
    | "report"                        { $$ = "report"; }
    | "output"                        { $$ = "output"; }
    | "group"                         { $$ = "group"; }
    | "every"                         { $$ = "every"; }
    ;

/* Names of properties. */
word: NAME
    | "data"                          { $$ = "data"; }
    | "model"                         { $$ = "model"; }
    | "block"                         { $$ = "block"; }
    | "train"                         { $$ = "train"; }
    | "eval"                          { $$ = "eval"; }
    | "infer"                         { $$ = "infer"; }
    | "build"                         { $$ = "build"; }
    | "epochs"                        { $$ = "epochs"; }
    | "steps"                         { $$ = "steps"; }
    | "from"                          { $$ = "from"; }
    | "of"                            { $$ = "of"; }
    ;
%%

/* Only "memory exhausted" comes here: the stack is deeper than YYMAXDEPTH. */
static void gradc_yyerror(const Span *at, yyscan_t scanner, ParseCtx *pc, const char *message)
{
  (void)scanner;
  (void)message;
  report_depth(pc, *at);
}

static int yyreport_syntax_error(const yypcontext_t *context, yyscan_t scanner, ParseCtx *pc)
{
  (void)scanner;
  yysymbol_kind_t kinds[YYNTOKENS];
  const char *names[YYNTOKENS];
  int n = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
  if (n < 0)
    return n;
  for (int i = 0; i < n; i++)
    names[i] = yysymbol_name(kinds[i]);
  report_syntax(pc, *yypcontext_location(context), names, n);
  return 0;
}
