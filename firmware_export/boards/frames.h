/* The frame protocol between a host and a device. One request, one answer.
 *
 *     request  A5 sequence(1) command(1) payload crc(4) A5
 *     answer   5A sequence(1) command(1) payload crc(4) 5A 5A
 *
 * A frame lies between two flags; flags in a row are no frame. Within it a flag and 7D stand as 7D
 * and the byte XOR 20, so that a flag always ends what came before: whatever bytes a line loses,
 * invents or changes, the frame after the next flag is read whole. A flag that gets lost costs the
 * wait for the next one, so two at the end make that rare; a sender may give any number.
 *
 * Numbers are little endian. The CRC is that of IEEE 802.3 (reflected polynomial 0xEDB88320, of
 * "123456789" it is 0xCBF43926) over sequence, command and payload before they are escaped.
 *
 * An answer repeats sequence and command of its request. A host counts the sequence up with every
 * request and sends the same bytes again where no good answer comes: a device that gets the request
 * which it answered last gives that answer again and does nothing twice. This takes a line that
 * keeps the order of what it delivers.
 *
 * A device that refuses a request answers with FRAME_ERROR added to the command and one byte of
 * payload, FRAME_BAD_...; to bytes between flags that are no frame it answers command FRAME_ERROR
 * alone, with any sequence. A device does not read while it works: the host waits for the answer.
 *
 * A line too bad for long frames: FRAME_WRITE brings a request's payload in pieces, FRAME_RUN
 * executes it.
 *
 * The numbers below are repeated in edgeprune/devices/frames.py, where a test compares them.
 */
#ifndef EDGEPRUNE_FRAMES_H
#define EDGEPRUNE_FRAMES_H

#define FRAME_REQUEST 0xA5u
#define FRAME_ANSWER 0x5Au
#define FRAME_ESCAPE 0x7Du
#define FRAME_TWIST 0x20u
#define FRAME_PROTOCOL 2u
#define FRAME_ERROR 0x80u
/* The most bytes that one FRAME_WRITE brings. */
#define FRAME_FRAGMENT 32u

/* Answers: protocol(1) flags(1) classes(2) signal_bytes(4) rhythm_bytes(2) max_payload(2)
 * network(64, SHA-256 in hexadecimal digits) version(the rest, ASCII). After a reset a device takes
 * no other command before this one, so that a host hears of every reset. */
#define FRAME_INFO 0x01u
/* Takes a window (signal, then rhythm), answers its logits. */
#define FRAME_CLASSIFY 0x02u
/* Answers the bytes of stack that were ever written (4) and that there are (4). */
#define FRAME_STACK 0x03u
/* Checks the constants' CRC and the guards of the arena: answers an EDGEPRUNE_... result (1), 0 is
 * good. Whether the logits are right a host asks with a window of its own. */
#define FRAME_CHECK 0x04u
/* A library with a hop: takes the next hop of the stream, answers the logits of the window that ends
 * with it, or nothing before the first window is full. Without a payload it begins anew. */
#define FRAME_STREAM 0x05u
/* A device with a counter: answers its ticks from the last call of edgeprune_classify() to its
 * return (4), what an empty measurement reads taken off. Of SysTick a tick is a cycle of the core. */
#define FRAME_TICKS 0x06u
/* Takes an offset (2) and 1 to FRAME_FRAGMENT bytes, and keeps them at that offset of a payload. */
#define FRAME_WRITE 0x08u
/* Takes a command (1), a length (2) and a CRC (4): where the bytes kept so far have this CRC, the
 * command is executed with them as payload, and its answer is the answer. The commands are
 * FRAME_CLASSIFY, FRAME_STREAM and FRAME_SAMPLES. Anything else may use the place of the bytes. */
#define FRAME_RUN 0x0Bu
/* The front end forgets the patient. */
#define FRAME_START 0x10u
/* Takes int16 samples until a window is ready, answers how many it took (2). */
#define FRAME_SAMPLES 0x11u
/* Takes the sample number of a beat (4), answers 1 or, where it is refused, 0 (1). */
#define FRAME_BEAT 0x12u
/* Classifies the next window that is ready: answers the sample number of its beat (4) and the
 * logits, or nothing where none is. */
#define FRAME_NEXT 0x13u

#define FRAME_FLAG_SYNTHETIC 1u
#define FRAME_FLAG_FRONT_END 2u
#define FRAME_FLAG_STREAM 4u
#define FRAME_FLAG_TICKS 8u

#define FRAME_BAD_CRC 1u
#define FRAME_BAD_LENGTH 2u
#define FRAME_BAD_COMMAND 3u
#define FRAME_FAILED 4u    /* the model refused its inputs */
#define FRAME_NOT_ASKED 5u /* since its start the device was not asked what it is */

#endif
