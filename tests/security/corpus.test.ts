import { useStack } from './corpus/attack.js';
import { authentication } from './corpus/authentication.js';
import { data } from './corpus/data.js';
import { leaks } from './corpus/leaks.js';
import { shape } from './corpus/shape.js';
import { transport } from './corpus/transport.js';

useStack();
transport();
shape();
leaks();
authentication();
data();
