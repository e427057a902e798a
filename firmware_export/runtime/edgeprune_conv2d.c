/* 2-D convolution: blocks of four positions, in order along the height, and two output channels. */
#include "edgeprune_columns.h"
#include "edgeprune_kernels.h"

/* Lays out the window of one output position; padding is zero. */
static void fill_map_window(const edgeprune_conv2d_parameters *p, const int8_t *input, int32_t channels,
                        int32_t first_row, int32_t first_cell, edgeprune_scratch16 *columns,
                        int32_t position) {
    int32_t depth = 0, row_tap;
    for (row_tap = 0; row_tap < p->kernel_length; row_tap++) {
        int32_t row = first_row + row_tap * p->dilation_length;
        int32_t is_inside = row >= 0 && row < p->input_length;
        const int8_t *line = input + (is_inside != 0 ? row * p->input_row : 0);
        int32_t cell_tap = 0;
        while (cell_tap < p->kernel_height) {
            int32_t cell = first_cell + cell_tap * p->dilation_height;
            int32_t taps = 1;
            if (is_inside == 0 || cell < 0 || cell >= p->input_height) {
                fill_zero(columns, position, depth, channels);
            } else {
                if (p->dilation_height == 1 && p->groups == 1) { /* the rest lies in one piece */
                    taps = p->kernel_height - cell_tap;
                    if (taps > p->input_height - cell) {
                        taps = p->input_height - cell;
                    }
                }
                fill(columns, position, depth, line + cell * p->input_channels, taps * channels,
                     p->input_zero_point);
            }
            cell_tap += taps;
            depth += taps * channels;
        }
    }
}

/* The same for a filter over the length alone of a single channel: one cell of each row. */
static void fill_filter(const edgeprune_conv2d_parameters *p, const int8_t *input, int32_t row,
                        int32_t cell, edgeprune_scratch16 *columns, int32_t position) {
    int32_t dilation = p->dilation_length, zero_point = p->input_zero_point;
    int32_t step = dilation * p->input_row;
    int32_t tap = 0, end = p->kernel_length, at;
    while (tap < end && row < 0) {
        COLUMN(columns, position, tap) = 0;
        row += dilation;
        tap++;
    }
    while (end > tap && row + (end - tap - 1) * dilation >= p->input_length) {
        end--;
        COLUMN(columns, position, end) = 0;
    }
    for (at = row * p->input_row + cell; tap < end; tap++) {
        COLUMN(columns, position, tap) = (int16_t)(input[at] - zero_point);
        at += step;
    }
}

void edgeprune_conv2d(const edgeprune_conv2d_parameters *p, const int8_t *input, int8_t *output,
                      int32_t *scratch, int32_t first_row, int32_t rows) {
    edgeprune_scratch16 *columns = (edgeprune_scratch16 *)(void *)scratch;
    int32_t group_inputs = p->input_channels / p->groups;
    int32_t group_outputs = p->output_channels / p->groups;
    int32_t depth = p->kernel_length * p->kernel_height * group_inputs;
    int32_t depth_pairs = (depth + 1) / 2;
    int32_t left = rows * p->output_height;
    int32_t row = first_row, cell = 0, group, position;
    int32_t is_filter = p->kernel_height == 1 && p->input_channels == 1 && p->pad_top == 0 &&
                        (p->output_height - 1) * p->stride_height < p->input_height;
    edgeprune_outputs outputs;
    outputs.channels = p->output_channels;
    outputs.zero_point = p->output_zero_point;
    outputs.low = p->clamp_low;
    outputs.high = p->clamp_high;
    outputs.quick = p->quick;
    outputs.multiplier = p->multiplier;
    outputs.shift = p->shift;
    output += first_row * p->output_row;
    while (left > 0) {
        const int8_t *weights = p->weights;
        int32_t positions = left < POSITIONS ? left : POSITIONS;
        int32_t next_row = row, next_cell = cell;
        for (group = 0; group < p->groups; group++) {
            const int8_t *part = input + group * group_inputs;
            next_row = row;
            next_cell = cell;
            for (position = 0; position < positions; position++) {
                int32_t start_row = next_row * p->stride_length - p->pad_left;
                int32_t start_cell = next_cell * p->stride_height - p->pad_top;
                if (is_filter != 0) {
                    fill_filter(p, part, start_row, start_cell, columns, position);
                } else {
                    fill_map_window(p, part, group_inputs, start_row, start_cell, columns, position);
                }
                next_cell++;
                if (next_cell == p->output_height) {
                    next_cell = 0;
                    next_row++;
                }
            }
            for (; position < POSITIONS; position++) {
                fill_zero(columns, position, 0, depth);
            }
            for (position = 0; position < POSITIONS; position++) {
                fill_zero(columns, position, depth, depth & 1);
            }
            weights = convolve_block(&outputs, p->bias, columns, weights, depth_pairs,
                                     group * group_outputs, group_outputs, positions, output);
        }
        row = next_row;
        cell = next_cell;
        left -= positions;
        output += positions * p->output_channels;
    }
}
