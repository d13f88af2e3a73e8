/* Registers, jobs and completions. Written by `spatten docs` from arch/src/registers.rs and
 * arch/src/descriptor.rs; do not edit. What each thing means: docs/registers.md. */
#ifndef SPATTEN_H
#define SPATTEN_H

#include <stddef.h>
#include <stdint.h>

#define SPATTEN_MAGIC 0x54415053u
#define SPATTEN_VERSION_MAJOR 1
#define SPATTEN_VERSION_MINOR 0
#define SPATTEN_PAGE_BYTES 4096
#define SPATTEN_MAX_QUEUE_LEVEL 16
#define SPATTEN_KEEP_VALUES_FRACTION 31

/* BAR0 */
#define SPATTEN_REG_IDENTITY 0x000
#define SPATTEN_REG_VERSION 0x004
#define SPATTEN_REG_VERSION_MINOR_SHIFT 0
#define SPATTEN_REG_VERSION_MINOR_MASK 0x0000ffffu
#define SPATTEN_REG_VERSION_MAJOR_SHIFT 16
#define SPATTEN_REG_VERSION_MAJOR_MASK 0xffff0000u
#define SPATTEN_REG_MULTIPLIERS 0x008
#define SPATTEN_REG_MULTIPLIERS_EACH_SHIFT 0
#define SPATTEN_REG_MULTIPLIERS_EACH_MASK 0x0000ffffu
#define SPATTEN_REG_MULTIPLIERS_DATAPATH_BITS_SHIFT 16
#define SPATTEN_REG_MULTIPLIERS_DATAPATH_BITS_MASK 0x00ff0000u
#define SPATTEN_REG_LANES 0x00c
#define SPATTEN_REG_LANES_SOFTMAX_SHIFT 0
#define SPATTEN_REG_LANES_SOFTMAX_MASK 0x0000ffffu
#define SPATTEN_REG_LANES_TOP_K_SHIFT 16
#define SPATTEN_REG_LANES_TOP_K_MASK 0xffff0000u
#define SPATTEN_REG_MEMORY 0x010
#define SPATTEN_REG_MEMORY_CHANNELS_SHIFT 0
#define SPATTEN_REG_MEMORY_CHANNELS_MASK 0x000000ffu
#define SPATTEN_REG_MEMORY_WORD_BYTES_SHIFT 8
#define SPATTEN_REG_MEMORY_WORD_BYTES_MASK 0x0000ff00u
#define SPATTEN_REG_MEMORY_WORDS_IN_FLIGHT_SHIFT 16
#define SPATTEN_REG_MEMORY_WORDS_IN_FLIGHT_MASK 0xffff0000u
#define SPATTEN_REG_LIMITS 0x014
#define SPATTEN_REG_LIMITS_KEYS_SHIFT 0
#define SPATTEN_REG_LIMITS_KEYS_MASK 0x0000ffffu
#define SPATTEN_REG_LIMITS_HEADS_SHIFT 16
#define SPATTEN_REG_LIMITS_HEADS_MASK 0xffff0000u
#define SPATTEN_REG_QUEUES 0x018
#define SPATTEN_REG_QUEUES_CONTEXTS_SHIFT 0
#define SPATTEN_REG_QUEUES_CONTEXTS_MASK 0x0000ffffu
#define SPATTEN_REG_QUEUES_MOST_SHIFT 16
#define SPATTEN_REG_QUEUES_MOST_MASK 0x00ff0000u
#define SPATTEN_REG_KEY_BUFFER 0x01c
#define SPATTEN_REG_VALUE_BUFFER 0x020
#define SPATTEN_REG_CLOCK 0x024
#define SPATTEN_REG_SCRATCH 0x040
#define SPATTEN_REG_CONTROL 0x044
#define SPATTEN_REG_CONTROL_ENABLE_SHIFT 0
#define SPATTEN_REG_CONTROL_ENABLE_MASK 0x00000001u
#define SPATTEN_REG_COMMAND 0x048
#define SPATTEN_REG_COMMAND_RESET_SHIFT 0
#define SPATTEN_REG_COMMAND_RESET_MASK 0x00000001u
#define SPATTEN_REG_COMMAND_CLEAR_COUNTERS_SHIFT 1
#define SPATTEN_REG_COMMAND_CLEAR_COUNTERS_MASK 0x00000002u
#define SPATTEN_REG_STATUS 0x04c
#define SPATTEN_REG_STATUS_ENABLED_SHIFT 0
#define SPATTEN_REG_STATUS_ENABLED_MASK 0x00000001u
#define SPATTEN_REG_STATUS_BUSY_SHIFT 1
#define SPATTEN_REG_STATUS_BUSY_MASK 0x00000002u
#define SPATTEN_REG_STATUS_STOPPED_SHIFT 2
#define SPATTEN_REG_STATUS_STOPPED_MASK 0x00000004u
#define SPATTEN_REG_STATUS_RESETTING_SHIFT 3
#define SPATTEN_REG_STATUS_RESETTING_MASK 0x00000008u
#define SPATTEN_REG_ERROR 0x050
#define SPATTEN_REG_ERROR_CODE_SHIFT 0
#define SPATTEN_REG_ERROR_CODE_MASK 0x000000ffu
#define SPATTEN_REG_ERROR_CHANNEL_SHIFT 8
#define SPATTEN_REG_ERROR_CHANNEL_MASK 0x0000ff00u
#define SPATTEN_REG_ERROR_JOB_SHIFT 16
#define SPATTEN_REG_ERROR_JOB_MASK 0xffff0000u
#define SPATTEN_REG_INTERRUPT_STATUS 0x060
#define SPATTEN_REG_INTERRUPT_STATUS_COMPLETION_SHIFT 0
#define SPATTEN_REG_INTERRUPT_STATUS_COMPLETION_MASK 0x00000001u
#define SPATTEN_REG_INTERRUPT_STATUS_FAILED_SHIFT 1
#define SPATTEN_REG_INTERRUPT_STATUS_FAILED_MASK 0x00000002u
#define SPATTEN_REG_INTERRUPT_STATUS_STOPPED_SHIFT 2
#define SPATTEN_REG_INTERRUPT_STATUS_STOPPED_MASK 0x00000004u
#define SPATTEN_REG_INTERRUPT_STATUS_OVERRUN_SHIFT 3
#define SPATTEN_REG_INTERRUPT_STATUS_OVERRUN_MASK 0x00000008u
#define SPATTEN_REG_INTERRUPT_ENABLE 0x064
#define SPATTEN_REG_INTERRUPT_ENABLE_COMPLETION_SHIFT 0
#define SPATTEN_REG_INTERRUPT_ENABLE_COMPLETION_MASK 0x00000001u
#define SPATTEN_REG_INTERRUPT_ENABLE_FAILED_SHIFT 1
#define SPATTEN_REG_INTERRUPT_ENABLE_FAILED_MASK 0x00000002u
#define SPATTEN_REG_INTERRUPT_ENABLE_STOPPED_SHIFT 2
#define SPATTEN_REG_INTERRUPT_ENABLE_STOPPED_MASK 0x00000004u
#define SPATTEN_REG_INTERRUPT_ENABLE_OVERRUN_SHIFT 3
#define SPATTEN_REG_INTERRUPT_ENABLE_OVERRUN_MASK 0x00000008u
#define SPATTEN_REG_INTERRUPT_SET 0x068
#define SPATTEN_REG_INTERRUPT_SET_COMPLETION_SHIFT 0
#define SPATTEN_REG_INTERRUPT_SET_COMPLETION_MASK 0x00000001u
#define SPATTEN_REG_INTERRUPT_SET_FAILED_SHIFT 1
#define SPATTEN_REG_INTERRUPT_SET_FAILED_MASK 0x00000002u
#define SPATTEN_REG_INTERRUPT_SET_STOPPED_SHIFT 2
#define SPATTEN_REG_INTERRUPT_SET_STOPPED_MASK 0x00000004u
#define SPATTEN_REG_INTERRUPT_SET_OVERRUN_SHIFT 3
#define SPATTEN_REG_INTERRUPT_SET_OVERRUN_MASK 0x00000008u
#define SPATTEN_REG_SUBMISSION_BASE_LOW 0x080
#define SPATTEN_REG_SUBMISSION_BASE_HIGH 0x084
#define SPATTEN_REG_SUBMISSION_SIZE 0x088
#define SPATTEN_REG_SUBMISSION_SIZE_LEVEL_SHIFT 0
#define SPATTEN_REG_SUBMISSION_SIZE_LEVEL_MASK 0x0000001fu
#define SPATTEN_REG_SUBMISSION_HEAD 0x08c
#define SPATTEN_REG_COMPLETION_BASE_LOW 0x090
#define SPATTEN_REG_COMPLETION_BASE_HIGH 0x094
#define SPATTEN_REG_COMPLETION_SIZE 0x098
#define SPATTEN_REG_COMPLETION_SIZE_LEVEL_SHIFT 0
#define SPATTEN_REG_COMPLETION_SIZE_LEVEL_MASK 0x0000001fu
#define SPATTEN_REG_COMPLETION_TAIL 0x09c
#define SPATTEN_REG_TOPK_LONGEST 0x0a0
#define SPATTEN_REG_CYCLES_LOW 0x200
#define SPATTEN_REG_CYCLES_HIGH 0x204
#define SPATTEN_REG_BUSY_CYCLES_LOW 0x208
#define SPATTEN_REG_BUSY_CYCLES_HIGH 0x20c
#define SPATTEN_REG_DOT_PRODUCT_CYCLES_LOW 0x210
#define SPATTEN_REG_DOT_PRODUCT_CYCLES_HIGH 0x214
#define SPATTEN_REG_MULTIPLY_VALUE_CYCLES_LOW 0x218
#define SPATTEN_REG_MULTIPLY_VALUE_CYCLES_HIGH 0x21c
#define SPATTEN_REG_READ_Q_BYTES_LOW 0x220
#define SPATTEN_REG_READ_Q_BYTES_HIGH 0x224
#define SPATTEN_REG_READ_K_MSB_BYTES_LOW 0x228
#define SPATTEN_REG_READ_K_MSB_BYTES_HIGH 0x22c
#define SPATTEN_REG_READ_K_LSB_BYTES_LOW 0x230
#define SPATTEN_REG_READ_K_LSB_BYTES_HIGH 0x234
#define SPATTEN_REG_READ_V_BYTES_LOW 0x238
#define SPATTEN_REG_READ_V_BYTES_HIGH 0x23c
#define SPATTEN_REG_READ_OTHER_BYTES_LOW 0x240
#define SPATTEN_REG_READ_OTHER_BYTES_HIGH 0x244
#define SPATTEN_REG_WRITE_BYTES_LOW 0x248
#define SPATTEN_REG_WRITE_BYTES_HIGH 0x24c
#define SPATTEN_REG_STALL_QUERY_CYCLES_LOW 0x250
#define SPATTEN_REG_STALL_QUERY_CYCLES_HIGH 0x254
#define SPATTEN_REG_STALL_KEY_CYCLES_LOW 0x258
#define SPATTEN_REG_STALL_KEY_CYCLES_HIGH 0x25c
#define SPATTEN_REG_STALL_REFETCH_CYCLES_LOW 0x260
#define SPATTEN_REG_STALL_REFETCH_CYCLES_HIGH 0x264
#define SPATTEN_REG_STALL_SOFTMAX_CYCLES_LOW 0x268
#define SPATTEN_REG_STALL_SOFTMAX_CYCLES_HIGH 0x26c
#define SPATTEN_REG_STALL_SELECT_CYCLES_LOW 0x270
#define SPATTEN_REG_STALL_SELECT_CYCLES_HIGH 0x274
#define SPATTEN_REG_STALL_VALUE_CYCLES_LOW 0x278
#define SPATTEN_REG_STALL_VALUE_CYCLES_HIGH 0x27c
#define SPATTEN_REG_STALL_WRITE_CYCLES_LOW 0x280
#define SPATTEN_REG_STALL_WRITE_CYCLES_HIGH 0x284
#define SPATTEN_REG_STALL_CASCADE_CYCLES_LOW 0x288
#define SPATTEN_REG_STALL_CASCADE_CYCLES_HIGH 0x28c
#define SPATTEN_REG_TOPK_CALLS_LOW 0x290
#define SPATTEN_REG_TOPK_CALLS_HIGH 0x294
#define SPATTEN_REG_TOPK_CYCLES_LOW 0x298
#define SPATTEN_REG_TOPK_CYCLES_HIGH 0x29c
#define SPATTEN_REG_ROWS_LOW 0x2a0
#define SPATTEN_REG_ROWS_HIGH 0x2a4
#define SPATTEN_REG_REFETCHED_ROWS_LOW 0x2a8
#define SPATTEN_REG_REFETCHED_ROWS_HIGH 0x2ac
#define SPATTEN_REG_SATURATED_LOGITS_LOW 0x2b0
#define SPATTEN_REG_SATURATED_LOGITS_HIGH 0x2b4
#define SPATTEN_REG_SATURATED_OUTPUTS_LOW 0x2b8
#define SPATTEN_REG_SATURATED_OUTPUTS_HIGH 0x2bc
#define SPATTEN_REG_SATURATED_IMPORTANCES_LOW 0x2c0
#define SPATTEN_REG_SATURATED_IMPORTANCES_HIGH 0x2c4
#define SPATTEN_REG_JOBS_LOW 0x2c8
#define SPATTEN_REG_JOBS_HIGH 0x2cc

/* BAR2 */
#define SPATTEN_REG_SUBMISSION_TAIL 0x000
#define SPATTEN_REG_COMPLETION_HEAD 0x004

/* 64-bit counters: SPATTEN_REG_<NAME>_LOW, then _HIGH */
#define SPATTEN_COUNTERS 26

enum spatten_opcode {
    SPATTEN_OPCODE_NOP = 1,
    SPATTEN_OPCODE_BEGIN = 2,
    SPATTEN_OPCODE_END = 3,
    SPATTEN_OPCODE_STEP = 4,
    SPATTEN_OPCODE_LAYER = 5,
    SPATTEN_OPCODE_APPEND = 6,
    SPATTEN_OPCODE_READ_STATE = 7,
    SPATTEN_OPCODE_COPY_IN = 8,
    SPATTEN_OPCODE_COPY_OUT = 9,
};

enum spatten_status {
    SPATTEN_STATUS_SUCCESS = 0,
    SPATTEN_STATUS_MALFORMED = 1,
    SPATTEN_STATUS_BAD_OPCODE = 2,
    SPATTEN_STATUS_BAD_CONTEXT = 3,
    SPATTEN_STATUS_EXCEEDS_CONFIGURATION = 4,
    SPATTEN_STATUS_BAD_SEQUENCE = 5,
    SPATTEN_STATUS_CONTEXT_EXISTS = 6,
    SPATTEN_STATUS_MEMORY_ERROR = 7,
    SPATTEN_STATUS_HOST_ERROR = 8,
    SPATTEN_STATUS_ABORTED = 9,
    SPATTEN_STATUS_OVERRUN = 10,
};

enum spatten_mode {
    SPATTEN_MODE_ENCODER = 0,
    SPATTEN_MODE_CAUSAL = 1,
    SPATTEN_MODE_DECODE = 2,
};

enum spatten_importance {
    SPATTEN_IMPORTANCE_SUM = 0,
    SPATTEN_IMPORTANCE_VALUE_WEIGHTED = 1,
    SPATTEN_IMPORTANCE_MEAN = 2,
    SPATTEN_IMPORTANCE_DECAY = 3,
};

enum spatten_split {
    SPATTEN_SPLIT_FLOOR = 0,
    SPATTEN_SPLIT_MID = 1,
    SPATTEN_SPLIT_BALANCED = 2,
};

struct spatten_nop {
    uint8_t opcode;
    uint8_t zero_1[1];
    uint16_t id;
    uint8_t zero_4[60];
};
_Static_assert(sizeof(struct spatten_nop) == 64, "spatten_nop");
_Static_assert(offsetof(struct spatten_nop, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_nop, id) == 2, "id");

struct spatten_begin {
    uint8_t opcode;
    uint8_t mode;
    uint16_t id;
    uint16_t context;
    uint16_t heads;
    uint16_t kv_heads;
    uint8_t dim;
    uint8_t importance;
    uint16_t tokens;
    uint16_t rows;
    uint8_t kv_only;
    uint8_t evict;
    uint8_t padded;
    uint8_t pin_current;
    uint32_t real_map;
    uint32_t gamma;
    uint16_t pin_first;
    uint16_t pin_last;
    uint32_t pin_map;
    uint8_t pinned;
    uint8_t zero_37[3];
    uint32_t storage;
    uint8_t zero_44[20];
};
_Static_assert(sizeof(struct spatten_begin) == 64, "spatten_begin");
_Static_assert(offsetof(struct spatten_begin, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_begin, mode) == 1, "mode");
_Static_assert(offsetof(struct spatten_begin, id) == 2, "id");
_Static_assert(offsetof(struct spatten_begin, context) == 4, "context");
_Static_assert(offsetof(struct spatten_begin, heads) == 6, "heads");
_Static_assert(offsetof(struct spatten_begin, kv_heads) == 8, "kv_heads");
_Static_assert(offsetof(struct spatten_begin, dim) == 10, "dim");
_Static_assert(offsetof(struct spatten_begin, importance) == 11, "importance");
_Static_assert(offsetof(struct spatten_begin, tokens) == 12, "tokens");
_Static_assert(offsetof(struct spatten_begin, rows) == 14, "rows");
_Static_assert(offsetof(struct spatten_begin, kv_only) == 16, "kv_only");
_Static_assert(offsetof(struct spatten_begin, evict) == 17, "evict");
_Static_assert(offsetof(struct spatten_begin, padded) == 18, "padded");
_Static_assert(offsetof(struct spatten_begin, pin_current) == 19, "pin_current");
_Static_assert(offsetof(struct spatten_begin, real_map) == 20, "real_map");
_Static_assert(offsetof(struct spatten_begin, gamma) == 24, "gamma");
_Static_assert(offsetof(struct spatten_begin, pin_first) == 28, "pin_first");
_Static_assert(offsetof(struct spatten_begin, pin_last) == 30, "pin_last");
_Static_assert(offsetof(struct spatten_begin, pin_map) == 32, "pin_map");
_Static_assert(offsetof(struct spatten_begin, pinned) == 36, "pinned");
_Static_assert(offsetof(struct spatten_begin, storage) == 40, "storage");

struct spatten_end {
    uint8_t opcode;
    uint8_t zero_1[1];
    uint16_t id;
    uint16_t context;
    uint8_t zero_6[58];
};
_Static_assert(sizeof(struct spatten_end) == 64, "spatten_end");
_Static_assert(offsetof(struct spatten_end, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_end, id) == 2, "id");
_Static_assert(offsetof(struct spatten_end, context) == 4, "context");

struct spatten_step {
    uint8_t opcode;
    uint8_t joins;
    uint16_t id;
    uint16_t context;
    uint16_t slot;
    uint8_t zero_8[56];
};
_Static_assert(sizeof(struct spatten_step) == 64, "spatten_step");
_Static_assert(offsetof(struct spatten_step, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_step, joins) == 1, "joins");
_Static_assert(offsetof(struct spatten_step, id) == 2, "id");
_Static_assert(offsetof(struct spatten_step, context) == 4, "context");
_Static_assert(offsetof(struct spatten_step, slot) == 6, "slot");

struct spatten_layer {
    uint8_t opcode;
    uint8_t write_state;
    uint16_t id;
    uint16_t context;
    uint16_t layer;
    uint32_t parameters;
    uint16_t query;
    uint16_t keep_tokens;
    uint16_t keep_heads;
    uint8_t write_refetched;
    uint8_t zero_19[1];
    uint32_t keep_values;
    uint32_t output;
    uint32_t output_stride;
    uint32_t state;
    uint32_t refetched;
    uint8_t zero_40[24];
};
_Static_assert(sizeof(struct spatten_layer) == 64, "spatten_layer");
_Static_assert(offsetof(struct spatten_layer, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_layer, write_state) == 1, "write_state");
_Static_assert(offsetof(struct spatten_layer, id) == 2, "id");
_Static_assert(offsetof(struct spatten_layer, context) == 4, "context");
_Static_assert(offsetof(struct spatten_layer, layer) == 6, "layer");
_Static_assert(offsetof(struct spatten_layer, parameters) == 8, "parameters");
_Static_assert(offsetof(struct spatten_layer, query) == 12, "query");
_Static_assert(offsetof(struct spatten_layer, keep_tokens) == 14, "keep_tokens");
_Static_assert(offsetof(struct spatten_layer, keep_heads) == 16, "keep_heads");
_Static_assert(offsetof(struct spatten_layer, write_refetched) == 18, "write_refetched");
_Static_assert(offsetof(struct spatten_layer, keep_values) == 20, "keep_values");
_Static_assert(offsetof(struct spatten_layer, output) == 24, "output");
_Static_assert(offsetof(struct spatten_layer, output_stride) == 28, "output_stride");
_Static_assert(offsetof(struct spatten_layer, state) == 32, "state");
_Static_assert(offsetof(struct spatten_layer, refetched) == 36, "refetched");

struct spatten_append {
    uint8_t opcode;
    uint8_t zero_1[1];
    uint16_t id;
    uint16_t context;
    uint16_t slot;
    uint32_t parameters;
    uint32_t source;
    uint8_t zero_16[48];
};
_Static_assert(sizeof(struct spatten_append) == 64, "spatten_append");
_Static_assert(offsetof(struct spatten_append, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_append, id) == 2, "id");
_Static_assert(offsetof(struct spatten_append, context) == 4, "context");
_Static_assert(offsetof(struct spatten_append, slot) == 6, "slot");
_Static_assert(offsetof(struct spatten_append, parameters) == 8, "parameters");
_Static_assert(offsetof(struct spatten_append, source) == 12, "source");

struct spatten_read_state {
    uint8_t opcode;
    uint8_t zero_1[1];
    uint16_t id;
    uint16_t context;
    uint8_t zero_6[2];
    uint32_t state;
    uint8_t zero_12[52];
};
_Static_assert(sizeof(struct spatten_read_state) == 64, "spatten_read_state");
_Static_assert(offsetof(struct spatten_read_state, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_read_state, id) == 2, "id");
_Static_assert(offsetof(struct spatten_read_state, context) == 4, "context");
_Static_assert(offsetof(struct spatten_read_state, state) == 8, "state");

struct spatten_copy_in {
    uint8_t opcode;
    uint8_t zero_1[1];
    uint16_t id;
    uint8_t zero_4[4];
    uint64_t host;
    uint32_t card;
    uint32_t bytes;
    uint8_t zero_24[40];
};
_Static_assert(sizeof(struct spatten_copy_in) == 64, "spatten_copy_in");
_Static_assert(offsetof(struct spatten_copy_in, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_copy_in, id) == 2, "id");
_Static_assert(offsetof(struct spatten_copy_in, host) == 8, "host");
_Static_assert(offsetof(struct spatten_copy_in, card) == 16, "card");
_Static_assert(offsetof(struct spatten_copy_in, bytes) == 20, "bytes");

struct spatten_copy_out {
    uint8_t opcode;
    uint8_t zero_1[1];
    uint16_t id;
    uint8_t zero_4[4];
    uint64_t host;
    uint32_t card;
    uint32_t bytes;
    uint8_t zero_24[40];
};
_Static_assert(sizeof(struct spatten_copy_out) == 64, "spatten_copy_out");
_Static_assert(offsetof(struct spatten_copy_out, opcode) == 0, "opcode");
_Static_assert(offsetof(struct spatten_copy_out, id) == 2, "id");
_Static_assert(offsetof(struct spatten_copy_out, host) == 8, "host");
_Static_assert(offsetof(struct spatten_copy_out, card) == 16, "card");
_Static_assert(offsetof(struct spatten_copy_out, bytes) == 20, "bytes");

struct spatten_layer_parameters {
    uint64_t threshold_inverse;
    uint8_t q_msb;
    uint8_t q_lsb;
    uint8_t k_msb;
    uint8_t k_lsb;
    uint8_t v_msb;
    uint8_t v_lsb;
    uint8_t split;
    uint8_t progressive;
    uint64_t head_mask_low;
    uint64_t head_mask_high;
    uint8_t masked;
    uint8_t scaled;
    uint8_t normed;
    uint8_t zero_35[5];
    uint32_t q_msb_base;
    uint32_t q_msb_stride;
    uint32_t q_lsb_base;
    uint32_t q_lsb_stride;
    uint32_t k_msb_base;
    uint32_t k_msb_stride;
    uint32_t k_lsb_base;
    uint32_t k_lsb_stride;
    uint32_t v_msb_base;
    uint32_t v_msb_stride;
    uint32_t v_lsb_base;
    uint32_t v_lsb_stride;
    uint32_t q_scale_base;
    uint32_t q_scale_stride;
    uint32_t k_scale_base;
    uint32_t k_scale_stride;
    uint32_t v_scale_base;
    uint32_t v_scale_stride;
    uint32_t norm_base;
    uint32_t norm_stride;
    uint8_t zero_120[8];
};
_Static_assert(sizeof(struct spatten_layer_parameters) == 128, "spatten_layer_parameters");
_Static_assert(offsetof(struct spatten_layer_parameters, threshold_inverse) == 0, "threshold_inverse");
_Static_assert(offsetof(struct spatten_layer_parameters, q_msb) == 8, "q_msb");
_Static_assert(offsetof(struct spatten_layer_parameters, q_lsb) == 9, "q_lsb");
_Static_assert(offsetof(struct spatten_layer_parameters, k_msb) == 10, "k_msb");
_Static_assert(offsetof(struct spatten_layer_parameters, k_lsb) == 11, "k_lsb");
_Static_assert(offsetof(struct spatten_layer_parameters, v_msb) == 12, "v_msb");
_Static_assert(offsetof(struct spatten_layer_parameters, v_lsb) == 13, "v_lsb");
_Static_assert(offsetof(struct spatten_layer_parameters, split) == 14, "split");
_Static_assert(offsetof(struct spatten_layer_parameters, progressive) == 15, "progressive");
_Static_assert(offsetof(struct spatten_layer_parameters, head_mask_low) == 16, "head_mask_low");
_Static_assert(offsetof(struct spatten_layer_parameters, head_mask_high) == 24, "head_mask_high");
_Static_assert(offsetof(struct spatten_layer_parameters, masked) == 32, "masked");
_Static_assert(offsetof(struct spatten_layer_parameters, scaled) == 33, "scaled");
_Static_assert(offsetof(struct spatten_layer_parameters, normed) == 34, "normed");
_Static_assert(offsetof(struct spatten_layer_parameters, q_msb_base) == 40, "q_msb_base");
_Static_assert(offsetof(struct spatten_layer_parameters, q_msb_stride) == 44, "q_msb_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, q_lsb_base) == 48, "q_lsb_base");
_Static_assert(offsetof(struct spatten_layer_parameters, q_lsb_stride) == 52, "q_lsb_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, k_msb_base) == 56, "k_msb_base");
_Static_assert(offsetof(struct spatten_layer_parameters, k_msb_stride) == 60, "k_msb_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, k_lsb_base) == 64, "k_lsb_base");
_Static_assert(offsetof(struct spatten_layer_parameters, k_lsb_stride) == 68, "k_lsb_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, v_msb_base) == 72, "v_msb_base");
_Static_assert(offsetof(struct spatten_layer_parameters, v_msb_stride) == 76, "v_msb_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, v_lsb_base) == 80, "v_lsb_base");
_Static_assert(offsetof(struct spatten_layer_parameters, v_lsb_stride) == 84, "v_lsb_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, q_scale_base) == 88, "q_scale_base");
_Static_assert(offsetof(struct spatten_layer_parameters, q_scale_stride) == 92, "q_scale_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, k_scale_base) == 96, "k_scale_base");
_Static_assert(offsetof(struct spatten_layer_parameters, k_scale_stride) == 100, "k_scale_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, v_scale_base) == 104, "v_scale_base");
_Static_assert(offsetof(struct spatten_layer_parameters, v_scale_stride) == 108, "v_scale_stride");
_Static_assert(offsetof(struct spatten_layer_parameters, norm_base) == 112, "norm_base");
_Static_assert(offsetof(struct spatten_layer_parameters, norm_stride) == 116, "norm_stride");

struct spatten_head_factors {
    uint32_t logit;
    uint32_t importance;
};
_Static_assert(sizeof(struct spatten_head_factors) == 8, "spatten_head_factors");
_Static_assert(offsetof(struct spatten_head_factors, logit) == 0, "logit");
_Static_assert(offsetof(struct spatten_head_factors, importance) == 4, "importance");

/* The device writes `end` last: status in bits 23..16, phase in bit 31. */
struct spatten_completion {
    uint32_t result;
    uint32_t detail;
    uint32_t head;
    uint32_t end;
};
#define SPATTEN_COMPLETION_ID(end) ((uint16_t)(end))
#define SPATTEN_COMPLETION_STATUS(end) (((end) >> 16) & 0xffu)
#define SPATTEN_COMPLETION_PHASE(end) ((end) >> 31)

/* State block: 64 bits per token, then per head; `keys` as in the register `limits`. */
#define SPATTEN_STATE_TOKEN(token) (128 + 8 * (token))
#define SPATTEN_STATE_HEAD(keys, head) (128 + 8 * (keys) + 8 * (head))
#define SPATTEN_STATE_TOKEN_IMPORTANCE_SHIFT 0
#define SPATTEN_STATE_TOKEN_IMPORTANCE_MASK 0x0000000fffffffffull
#define SPATTEN_STATE_TOKEN_ROWS_SHIFT 36
#define SPATTEN_STATE_TOKEN_ROWS_MASK 0x0ffffff000000000ull
#define SPATTEN_STATE_TOKEN_REAL_SHIFT 60
#define SPATTEN_STATE_TOKEN_REAL_MASK 0x1000000000000000ull
#define SPATTEN_STATE_TOKEN_PIN_MAP_SHIFT 61
#define SPATTEN_STATE_TOKEN_PIN_MAP_MASK 0x2000000000000000ull
#define SPATTEN_STATE_TOKEN_PINNED_SHIFT 62
#define SPATTEN_STATE_TOKEN_PINNED_MASK 0x4000000000000000ull
#define SPATTEN_STATE_TOKEN_ALIVE_SHIFT 63
#define SPATTEN_STATE_TOKEN_ALIVE_MASK 0x8000000000000000ull
#define SPATTEN_STATE_HEAD_IMPORTANCE_SHIFT 0
#define SPATTEN_STATE_HEAD_IMPORTANCE_MASK 0x0000ffffffffffffull
#define SPATTEN_STATE_HEAD_ALIVE_SHIFT 63
#define SPATTEN_STATE_HEAD_ALIVE_MASK 0x8000000000000000ull

#endif
