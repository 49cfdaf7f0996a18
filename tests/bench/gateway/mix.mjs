/*
 * The mix of `npm run bench -- gateway`: 200 different operations on the store, each with several variables,
 * sent for 50 users. The same on every machine.
 */

const operationCount = 200;
const variablesPerOperation = 5;
const userCount = 50;

/** Names the user of a request; a gateway that shares fetches must not share them between users. */
export const userHeader = 'x-user';

/** Returns the texts of 1,000 requests, each with the user who sends it. */
export const mixedRequests = () => {
  const requests = [];
  for (let number = 0; number < operationCount; number += 1) {
    const query = operation(number);
    for (let index = 0; index < variablesPerOperation; index += 1) {
      const first = 1 + ((number + 2 * index) % 9);
      const variables = query.includes('$first') ? { first } : {};
      const user = `user-${(number * 7 + index * 11) % userCount}`;
      requests.push({ body: JSON.stringify({ query, variables }), user });
    }
  }
  return requests;
};

/** Returns those names whose bit is set in the number; all of them if none is. */
const chosen = (names, number) => {
  const some = names.filter((_name, index) => (number >> index) & 1);
  return (some.length > 0 ? some : names).join(' ');
};

const operation = (number) => {
  const user = (bits) => chosen(['id', 'name', 'username', 'birthday', 'numberOfReviews'], bits);
  const product = (bits) => chosen(['upc', 'name', 'price', 'weight', 'inStock', 'shippingEstimate'], bits);
  const review = chosen(['id', 'body'], number >> 1);
  const byAuthor = `reviews { ${review} author { ${user(number + 3)} } }`;
  const ofProduct = `reviews { ${review} product { ${product(number + 5)} ${number % 2 ? byAuthor : ''} } }`;
  switch (number % 4) {
    case 0:
      return `query Mix${number}($first: Int) { topProducts(first: $first) { ${product(number)} } }`;
    case 1:
      return `query Mix${number} { me { ${user(number)} ${ofProduct} } }`;
    case 2:
      return `query Mix${number}($first: Int) { topProducts(first: $first) { ${product(number)} ${byAuthor} } me { ${user(number)} } }`;
    default:
      return `query Mix${number} { users { ${user(number)} ${ofProduct} } }`;
  }
};
